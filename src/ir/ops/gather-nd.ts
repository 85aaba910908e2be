import { allocateElements, elementsOf, fromElements } from '../../tensor/elements.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { UnsupportedError } from '../../errors.ts'
import { nodeError, required } from '../families/axes.ts'
import { rowOffsets, zerosLike } from '../families/scattering.ts'
import { spread } from '../families/samples.ts'
import { intAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const gatherND = defineOperator({
  type: 'GatherND',
  since: 13,
  summary: 'Picks slices of data by index tuples: data [...d], indices [...i, k] -> [...i, ...d without the first k].',
  infer: ({ node, inputs: [data, indices] }) => {
    const depth = indices?.shape?.at(-1)
    if (!data?.shape || !indices?.shape || typeof depth !== 'number') return [data && { dtype: data.dtype }]
    const batch = intAttribute(node, 'batch_dims', 0)
    return [{ dtype: data.dtype, shape: [...indices.shape.slice(0, -1), ...data.shape.slice(batch + depth)] }]
  },
  evaluate: (context) => {
    const [data, indices] = [required(context, 0), required(context, 1)]
    const batch = intAttribute(context.node, 'batch_dims', 0)
    const depth = indices.shape.at(-1)
    if (depth === undefined || batch + depth > data.shape.length)
      throw nodeError(context.node, 'gather-depth', `index tuples do not fit data of shape [${data.shape.join(', ')}]`)
    const rest = data.shape.slice(batch + depth)
    const size = elementCount(rest)
    const offsets = rowOffsets(context.node, data.shape, indices, batch)
    const source = elementsOf(data)
    const result = allocateElements(data.dtype, offsets.length * size)
    for (const [row, offset] of offsets.entries())
      for (let i = 0; i < size; i++) result[row * size + i] = source[offset + i]
    return [fromElements(data.dtype, [...indices.shape.slice(0, -1), ...rest], result)]
  },
  gradient: (context) => {
    const {
      node,
      inputs: [data, indices],
      outputGradients: [dy],
      emit,
    } = context
    if (intAttribute(node, 'batch_dims', 0) !== 0)
      throw new UnsupportedError('no-gradient', 'GatherND with batch_dims has no gradient here', { place: node.name })
    return [emit('ScatterND', [zerosLike(context, data!), indices, dy], { reduction: 'add' })]
  },
  samples: [
    { name: 'elements', inputs: [spread([2, 3]), int64([0, 2, 1, -1], [2, 2])] },
    { name: 'rows', inputs: [spread([3, 2]), int64([2, 0, 2], [3, 1])] },
    {
      name: 'batched',
      inputs: [spread([2, 3, 2]), int64([1, 0], [2, 1])],
      attributes: { batch_dims: 1 },
      gradientOf: [],
    },
  ],
})
