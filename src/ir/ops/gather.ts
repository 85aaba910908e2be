import { dtypes } from '../../tensor/dtype.ts'
import { elementsOf, toNumbers } from '../../tensor/elements.ts'
import { int64, reshaped, elementCount, type Tensor } from '../../tensor/tensor.ts'
import { nodeError, normalizeAxis, required } from '../families/axes.ts'
import { takeAxes } from '../families/movement.ts'
import { withInputs } from '../families/cutting.ts'
import { pickedTies, sourcesLeft } from '../families/picking.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { intAttribute, type Node } from '../model.ts'
import { defineOperator, type ChannelTie, type CostContext } from '../operator.ts'

export const gather = defineOperator({
  type: 'Gather',
  since: 13,
  summary: 'Picks entries along `axis`: data [...a, d, ...b], indices [...i] -> [...a, ...i, ...b].',
  infer: ({ node, inputs: [data, indices] }) => {
    if (!data?.shape || !indices?.shape) return [data && { dtype: data.dtype }]
    const axis = normalizeAxis(intAttribute(node, 'axis', 0), data.shape.length, node)
    return [
      { dtype: data.dtype, shape: [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)] },
    ]
  },
  evaluate: (context) => {
    const [data, indices] = [required(context, 0), required(context, 1)]
    const axis = normalizeAxis(intAttribute(context.node, 'axis', 0), data.shape.length, context.node)
    const size = data.shape[axis]
    const table = positions(indices, size, context.node)
    const taken = takeAxes(
      data,
      data.shape.map((_, i) => (i === axis ? table : undefined)),
    )
    return [reshaped(taken, [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)])]
  },
  gradient: ({ node, inputs: [data, indices], outputGradients: [dy], emit, shape }) => {
    const axis = normalizeAxis(intAttribute(node, 'axis', 0), shape(data!).length, node)
    return [emit('espalier.GatherGrad', [dy, indices], { axis, shape: shape(data!) })]
  },
  /**
   * Other axes keep their channels, and so do those of the indices. The places that a constant list picks out of data are
   * channels too; those of a codebook are not.
   */
  coupling: ({ node, inputs: [data, indices], constant }) => {
    const gathered = normalizeAxis(intAttribute(node, 'axis', 0), data!.shape.length, node)
    const added = indices!.shape.length
    const list = pickedPlaces(node, data!.shape[gathered], constant)
    const ties: ChannelTie[] = indices!.shape.map((_, axis) => ({
      ports: [
        { side: 'input', index: 1, axis },
        { side: 'output', index: 0, axis: gathered + axis },
      ],
    }))
    if (list) ties.push(...pickedTies({ from: gathered, axis: gathered, size: data!.shape[gathered], sources: list }))
    for (const axis of data!.shape.keys()) {
      if (axis === gathered) continue
      const target = axis < gathered ? axis : axis + added - 1
      ties.push({
        ports: [
          { side: 'input', index: 0, axis },
          { side: 'output', index: 0, axis: target },
        ],
      })
    }
    return ties
  },
  cut: (context) => {
    const { node, inputs, keptInputs, constant, literal } = context
    const axis = normalizeAxis(intAttribute(node, 'axis', 0), inputs[0]!.shape.length, node)
    const size = inputs[0]!.shape[axis]
    const sources = pickedPlaces(node, size, constant)
    if (!sources || !keptInputs[0]?.[axis]) return node
    return withInputs(node, { 1: literal(int64(sourcesLeft(context, { from: axis, axis, size, sources }))) })
  },
  samples: [
    { name: 'codebook', inputs: [spread([4]), spreadOf('int32', [2, 3], 0, 4)] },
    { name: 'rows', inputs: [spread([5, 3]), int64([4, 0, 0, -1], [2, 2])] },
    { name: 'scalar index', inputs: [spread([2, 3, 2]), int64([1], [])], attributes: { axis: 1 } },
    { name: 'negative axis', inputs: [spread([2, 3]), int64([2, 1])], attributes: { axis: -1 } },
    { name: 'no index', inputs: [spread([2, 3]), int64([], [elementCount([0])])] },
  ],
})

/** Indices as positions along an axis of `size`, counted from its start. Codes into a codebook are read where they lie. */
function positions(indices: Tensor, size: number, node: Node): ArrayLike<number> {
  const { kind, bits } = dtypes[indices.dtype]
  const given = kind === 'integer' && bits < 64 ? (elementsOf(indices) as Int32Array) : toNumbers(indices)
  let negative = false
  for (let i = 0; i < given.length; i++) {
    const index = given[i]
    if (index < -size || index >= size)
      throw nodeError(node, 'gather-index', `index ${index} is outside of an axis of size ${size}`)
    negative ||= index < 0
  }
  return negative ? given.map((index) => (index < 0 ? index + size : index)) : given
}

/** The places that a constant list of one axis picks out of what is no constant itself. */
function pickedPlaces(node: Node, size: number, constant: CostContext['constant']): number[] | undefined {
  const list = constant?.(1)
  return list?.shape.length === 1 && !constant?.(0) ? Array.from(positions(list, size, node)) : undefined
}
