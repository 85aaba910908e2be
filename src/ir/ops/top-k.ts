import { fromNumbers, integersOf, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { nodeError, normalizeAxis, required } from '../families/axes.ts'
import { axisTies } from '../families/broadcast.ts'
import { range } from '../families/movement.ts'
import { zerosLike } from '../families/scattering.ts'
import { spread } from '../families/samples.ts'
import { intAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const topK = defineOperator({
  type: 'TopK',
  since: 11,
  summary: 'Gives the k largest or smallest elements along `axis` in order, and their places.',
  infer: ({ node, inputs: [x], constant }) => {
    if (!x?.shape) return [x && { dtype: x.dtype }, { dtype: 'int64' }]
    const axis = normalizeAxis(intAttribute(node, 'axis', -1), x.shape.length, node)
    const k = constant(1)
    const shape = x.shape.map((size, i) => (i === axis ? (k ? integersOf(k)[0] : null) : size))
    return [
      { dtype: x.dtype, shape },
      { dtype: 'int64', shape },
    ]
  },
  evaluate: (context) => {
    const { node } = context
    const x = required(context, 0)
    const [k] = integersOf(required(context, 1))
    const axis = normalizeAxis(intAttribute(node, 'axis', -1), x.shape.length, node)
    const size = x.shape[axis]
    if (!(k >= 0 && k <= size)) throw nodeError(node, 'top-k', `${k} elements cannot be taken out of ${size}`)
    const sign = intAttribute(node, 'largest', 1) === 1 ? 1 : -1
    const inner = elementCount(x.shape.slice(axis + 1))
    const values = toNumbers(x)
    const shape = x.shape.map((each, i) => (i === axis ? k : each))
    const best = new Float64Array(elementCount(shape))
    const places = new Float64Array(best.length)
    for (let line = 0; line < values.length / size; line++) {
      const [outer, column] = [Math.floor(line / inner), line % inner]
      const at = (i: number) => values[(outer * size + i) * inner + column]
      const order = range(0, size).sort((i, j) => sign * (at(j) - at(i)) || i - j)
      for (let rank = 0; rank < k; rank++) {
        const target = (outer * k + rank) * inner + column
        best[target] = at(order[rank])
        places[target] = order[rank]
      }
    }
    return [fromNumbers(x.dtype, shape, best), fromNumbers('int64', shape, places)]
  },
  gradient: (context) => {
    const {
      node,
      inputs: [x],
      outputs: [, indices],
      outputGradients: [dy],
      emit,
    } = context
    if (!dy) return [undefined]
    if (!indices) throw nodeError(node, 'top-k-indices', 'its places must be an output to be differentiated')
    const attributes = { axis: intAttribute(node, 'axis', -1), reduction: 'add' }
    return [emit('ScatterElements', [zerosLike(context, x!), indices, dy], attributes)]
  },
  coupling: ({ node, inputs: [x], outputs }) => {
    const ranked = normalizeAxis(intAttribute(node, 'axis', -1), x!.shape.length, node)
    return axisTies({ node, inputs: [x], outputs }, (axis) => axis !== ranked)
  },
  samples: [
    { name: 'largest', inputs: [spread([3, 5]), int64([2])], outputs: 2 },
    {
      name: 'smallest, inner axis',
      inputs: [spread([2, 5, 2]), int64([3])],
      attributes: { axis: 1, largest: 0 },
      outputs: 2,
    },
  ],
})
