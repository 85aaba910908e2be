import { int64 } from '../../tensor/tensor.ts'
import { nodeError, normalizeAxis, required } from '../families/axes.ts'
import { concatenate } from '../families/movement.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { intAttribute, type Dim, type Node, type TensorType } from '../model.ts'
import { defineOperator, type ChannelTie } from '../operator.ts'

export const concat = defineOperator({
  type: 'Concat',
  since: 13,
  summary: 'Joins tensors along `axis`: [a, ...rest], [b, ...rest] -> [a + b, ...rest].',
  infer: ({ node, inputs }) => {
    const dtype = inputs.find((input) => input)?.dtype
    if (!dtype) return [undefined]
    return [{ dtype, shape: inputs.every((input) => input?.shape) ? joined(node, inputs as TensorType[]) : undefined }]
  },
  evaluate: (context) => {
    const tensors = context.inputs.map((_, index) => required(context, index))
    joined(context.node, tensors)
    return [
      concatenate(tensors, normalizeAxis(intAttribute(context.node, 'axis', 0), tensors[0].shape.length, context.node)),
    ]
  },
  gradient: ({ node, inputs, outputGradients: [dy], emit, emitMany, literal, shape, wants }) => {
    const axis = normalizeAxis(intAttribute(node, 'axis', 0), shape(dy!).length, node)
    const sizes = inputs.map((input) => shape(input!)[axis])
    const wanted = inputs.flatMap((_, index) => (wants(index) ? [index] : []))
    if (wanted.length > 1 && inputs.length > 1)
      return emitMany('Split', [dy, literal(int64(sizes))], inputs.length, { axis })
    return inputs.map((_, index) => {
      if (!wants(index)) return undefined
      const start = sizes.slice(0, index).reduce((sum, size) => sum + size, 0)
      const bounds = [[start], [start + sizes[index]], [axis]].map((value) => literal(int64(value)))
      return emit('Slice', [dy, ...bounds])
    })
  },
  coupling: ({ node, inputs, outputs: [y] }) => {
    const joinedAxis = normalizeAxis(intAttribute(node, 'axis', 0), y.shape.length, node)
    const ties: ChannelTie[] = []
    let offset = 0
    for (const [index, input] of inputs.entries()) {
      const ports = [
        { side: 'input', index, axis: joinedAxis },
        { side: 'output', index: 0, axis: joinedAxis, offset },
      ] as const
      ties.push({ ports })
      offset += input!.shape[joinedAxis]
    }
    for (const axis of y.shape.keys()) {
      if (axis === joinedAxis) continue
      const ports = inputs.map((_, index) => ({ side: 'input', index, axis }) as const)
      ties.push({ ports: [...ports, { side: 'output', index: 0, axis }] })
    }
    return ties
  },
  samples: [
    { name: 'channels', inputs: [spread([2, 1, 3]), spread([2, 3, 3]), spread([2, 2, 3])], attributes: { axis: 1 } },
    { name: 'negative axis', inputs: [spread([2, 3]), spreadOf('float32', [2, 1], 3, 4)], attributes: { axis: -1 } },
    { name: 'shapes', inputs: [int64([1, 2]), int64([3])], attributes: { axis: 0 } },
  ],
})

function joined(node: Node, inputs: readonly { readonly shape?: readonly Dim[] }[]): Dim[] {
  const shapes = inputs.map((input) => input.shape!)
  const rank = shapes[0].length
  const axis = normalizeAxis(intAttribute(node, 'axis', 0), rank, node)
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((shape) => {
      if (shape.length !== rank) throw nodeError(node, 'concat-shape', 'inputs have different numbers of axes')
      return shape[i]
    })
    if (i === axis)
      return sizes.every((size) => typeof size === 'number') ? sizes.reduce((sum, size) => sum + size, 0) : null
    const numbers = new Set(sizes.filter((size) => typeof size === 'number'))
    if (numbers.size > 1) throw nodeError(node, 'concat-shape', `inputs differ along axis ${i}: ${sizes.join(', ')}`)
    return numbers.size === 1 ? [...numbers][0] : sizes.every((size) => size === sizes[0]) ? sizes[0] : null
  })
}
