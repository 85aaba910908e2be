import { integersOf, allocateElements, elementsOf, fromElements } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { required } from '../families/axes.ts'
import { alongAxis, zerosLike } from '../families/scattering.ts'
import { spread } from '../families/samples.ts'
import { intAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const gatherElements = defineOperator({
  type: 'GatherElements',
  since: 13,
  summary: 'Picks one element for each index, at the same place except along `axis`.',
  infer: ({ inputs: [data, indices] }) => [data && { dtype: data.dtype, shape: indices?.shape }],
  evaluate: (context) => {
    const [data, indices] = [required(context, 0), required(context, 1)]
    const source = elementsOf(data)
    const offsets = alongAxis(context.node, data.shape, indices.shape, integersOf(indices))
    const result = allocateElements(data.dtype, offsets.length)
    for (let i = 0; i < offsets.length; i++) result[i] = source[offsets[i]]
    return [fromElements(data.dtype, indices.shape, result)]
  },
  gradient: (context) => {
    const {
      node,
      inputs: [data, indices],
      outputGradients: [dy],
      emit,
    } = context
    const attributes = { axis: intAttribute(node, 'axis', 0), reduction: 'add' }
    return [emit('ScatterElements', [zerosLike(context, data!), indices, dy], attributes)]
  },
  samples: [
    { name: 'rows', inputs: [spread([3, 2]), int64([2, 0, 0, 1], [2, 2])] },
    {
      name: 'repeated, from the end',
      inputs: [spread([2, 3]), int64([-1, -1, 0, 1], [2, 2])],
      attributes: { axis: -1 },
    },
  ],
})
