import { integersOf, fromNumbers, elementsOf, fromElements, toNumbers } from '../../tensor/elements.ts'
import { int64, type Tensor } from '../../tensor/tensor.ts'
import { required } from '../families/axes.ts'
import { alongAxis, scatterJoin, scatterReduction, zerosLike } from '../families/scattering.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { intAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const scatterElements = defineOperator({
  type: 'ScatterElements',
  since: 18,
  summary: 'Copies data and writes, adds, multiplies or compares in each update at its index along `axis`.',
  infer: ({ inputs: [data] }) => [data],
  evaluate: (context) => {
    const [data, indices, updates] = [0, 1, 2].map((index) => required(context, index)) as [Tensor, Tensor, Tensor]
    const offsets = alongAxis(context.node, data.shape, indices.shape, integersOf(indices))
    const join = scatterJoin(context.node)
    if (!join) {
      const target = elementsOf(data).slice()
      const source = elementsOf(updates)
      for (let i = 0; i < offsets.length; i++) target[offsets[i]] = source[i]
      return [fromElements(data.dtype, data.shape, target)]
    }
    const target = toNumbers(data).slice()
    const source = toNumbers(updates)
    for (let i = 0; i < offsets.length; i++) target[offsets[i]] = join(target[offsets[i]], source[i])
    return [fromNumbers(data.dtype, data.shape, target)]
  },
  gradient: (context) => {
    const {
      node,
      inputs: [, indices, updates],
      outputGradients: [dy],
      emit,
      wants,
    } = context
    const axis = intAttribute(node, 'axis', 0)
    const adds = scatterReduction(context) === 'add'
    const byData = () => (adds ? dy : emit('ScatterElements', [dy, indices, zerosLike(context, updates!)], { axis }))
    return [
      wants(0) ? byData() : undefined,
      undefined,
      wants(2) ? emit('GatherElements', [dy, indices], { axis }) : undefined,
    ]
  },
  samples: [
    { name: 'write', inputs: [spread([3, 3]), int64([1, 0, 2, 0, 2, 1], [2, 3]), spread([2, 3], 3, 5)] },
    {
      name: 'add, repeated',
      inputs: [spread([2, 3]), int64([1, 1, -1, 0], [2, 2]), spread([2, 2], 3, 5)],
      attributes: { axis: 1, reduction: 'add' },
    },
    {
      name: 'max',
      inputs: [spread([2, 3]), int64([1, 1, 2, 0], [2, 2]), spreadOf('float32', [2, 2], -1, 2, 0.8)],
      attributes: { axis: 1, reduction: 'max' },
      gradientOf: [],
    },
  ],
})
