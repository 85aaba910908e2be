import { elementsOf, fromElements, fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64, type Tensor } from '../../tensor/tensor.ts'
import { required } from '../families/axes.ts'
import { rowOffsets, scatterJoin, scatterReduction, zerosLike } from '../families/scattering.ts'
import { spread } from '../families/samples.ts'
import { defineOperator } from '../operator.ts'

export const scatterND = defineOperator({
  type: 'ScatterND',
  since: 18,
  summary: 'Copies data and writes, adds, multiplies or compares in slices at index tuples.',
  infer: ({ inputs: [data] }) => [data],
  evaluate: (context) => {
    const [data, indices, updates] = [0, 1, 2].map((index) => required(context, index)) as [Tensor, Tensor, Tensor]
    const offsets = rowOffsets(context.node, data.shape, indices, 0)
    const size = elementCount(data.shape.slice(indices.shape.at(-1)))
    const join = scatterJoin(context.node)
    const target = join ? toNumbers(data).slice() : elementsOf(data).slice()
    const source = join ? toNumbers(updates) : elementsOf(updates)
    for (const [row, offset] of offsets.entries())
      for (let i = 0; i < size; i++) {
        const update = source[row * size + i]
        target[offset + i] = join ? join(target[offset + i] as number, update as number) : update
      }
    return [
      join ? fromNumbers(data.dtype, data.shape, target as Float64Array) : fromElements(data.dtype, data.shape, target),
    ]
  },
  gradient: (context) => {
    const {
      inputs: [, indices, updates],
      outputGradients: [dy],
      emit,
      wants,
    } = context
    const adds = scatterReduction(context) === 'add'
    const byData = () => (adds ? dy : emit('ScatterND', [dy, indices, zerosLike(context, updates!)]))
    return [wants(0) ? byData() : undefined, undefined, wants(2) ? emit('GatherND', [dy, indices]) : undefined]
  },
  samples: [
    { name: 'rows', inputs: [spread([4, 2]), int64([2, 0], [2, 1]), spread([2, 2], 3, 5)] },
    {
      name: 'add, repeated',
      inputs: [spread([4]), int64([2, 2, -1], [3, 1]), spread([3])],
      attributes: { reduction: 'add' },
    },
    {
      name: 'elements',
      inputs: [spread([2, 3]), int64([0, 2, 1, 1], [2, 2]), spread([2])],
      attributes: { reduction: 'none' },
    },
  ],
})
