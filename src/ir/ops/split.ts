import { integersOf } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { inferredIntegers, nodeError, normalizeAxis, required } from '../families/axes.ts'
import { sizeLeft, withInputs } from '../families/cutting.ts'
import { range, takeAxes } from '../families/movement.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { intAttribute, type Dim, type Node } from '../model.ts'
import { defineOperator, type ChannelTie } from '../operator.ts'

export const split = defineOperator({
  type: 'Split',
  since: 18,
  summary: 'Cuts a tensor along `axis` into parts of the given sizes, or into equal ones.',
  infer: (context) => {
    const { node, inputs } = context
    const [x] = inputs
    if (!x?.shape) return node.outputs.map(() => x && { dtype: x.dtype })
    const { dtype, shape } = x
    const axis = normalizeAxis(intAttribute(node, 'axis', 0), shape.length, node)
    const given = inferredIntegers(context, 1)
    const sizes = given === 'unknown' ? undefined : partSizes(node, shape[axis], given === 'absent' ? undefined : given)
    return node.outputs.map((_, index) => ({
      dtype,
      shape: shape.map((size, i) => (i === axis ? (sizes?.[index] ?? null) : size)),
    }))
  },
  evaluate: (context) => {
    const x = required(context, 0)
    const axis = normalizeAxis(intAttribute(context.node, 'axis', 0), x.shape.length, context.node)
    const given = context.inputs[1] && integersOf(context.inputs[1])
    let start = 0
    return partSizes(context.node, x.shape[axis], given)!.map((size) => {
      const indices = range(start, start + size)
      start += size
      return takeAxes(
        x,
        x.shape.map((_, i) => (i === axis ? indices : undefined)),
      )
    })
  },
  gradient: ({ node, inputs: [x], outputs, outputGradients, emit, literal, shape }) => {
    const axis = normalizeAxis(intAttribute(node, 'axis', 0), shape(x!).length, node)
    const parts = outputs.map((y, index) => outputGradients[index] ?? emptyLike(y))
    function emptyLike(y: string): string {
      return emit('Expand', [literal(0, x), literal(int64(shape(y)))])
    }
    return [emit('Concat', parts, { axis })]
  },
  coupling: ({ node, inputs: [x], outputs }) => {
    const splitAxis = normalizeAxis(intAttribute(node, 'axis', 0), x!.shape.length, node)
    const ties: ChannelTie[] = []
    let offset = 0
    for (const [index, output] of outputs.entries()) {
      ties.push({
        ports: [
          { side: 'input', index: 0, axis: splitAxis, offset },
          { side: 'output', index, axis: splitAxis },
        ],
      })
      offset += output.shape[splitAxis]
    }
    for (const axis of x!.shape.keys()) {
      if (axis === splitAxis) continue
      const ports = outputs.map((_, index) => ({ side: 'output', index, axis }) as const)
      ties.push({ ports: [{ side: 'input', index: 0, axis }, ...ports] })
    }
    return ties
  },
  cut: ({ node, inputs: [x], outputs, keptOutputs, literal }) => {
    const axis = normalizeAxis(intAttribute(node, 'axis', 0), x!.shape.length, node)
    const sizes = outputs.map(({ shape }, index) => sizeLeft(shape[axis], keptOutputs[index][axis]))
    const { num_outputs: _, ...attributes } = node.attributes
    return { ...withInputs(node, { 1: literal(int64(sizes)) }), attributes }
  },
  samples: [
    { name: 'sizes', inputs: [spread([2, 5]), int64([2, 3])], attributes: { axis: 1 }, outputs: 2 },
    { name: 'uneven', inputs: [spread([7, 2])], attributes: { num_outputs: 3 }, outputs: 3 },
    {
      name: 'negative axis',
      inputs: [spreadOf('int32', [2, 4], -9, 9)],
      attributes: { axis: -1, num_outputs: 2 },
      outputs: 2,
    },
  ],
})

/** Without sizes the parts are equal, the last one smaller where that does not divide. */
function partSizes(node: Node, size: Dim, given: readonly number[] | undefined): number[] | undefined {
  if (given) {
    const total = given.reduce((sum, part) => sum + part, 0)
    if (given.length !== node.outputs.length || (typeof size === 'number' && total !== size))
      throw nodeError(node, 'split-sizes', `parts of sizes ${given.join(', ')} do not make up an axis of size ${size}`)
    return [...given]
  }
  if (typeof size !== 'number') return undefined
  const count = intAttribute(node, 'num_outputs', node.outputs.length)
  const part = Math.ceil(size / count)
  return range(0, count).map((index) => Math.max(0, Math.min(part, size - index * part)))
}
