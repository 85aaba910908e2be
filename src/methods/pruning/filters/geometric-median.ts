import { elementCount } from '../../../tensor/tensor.ts'
import { createPace } from '../../pace.ts'
import { defineFilterPruner } from './family/family.ts'

/**
 * Removes the filters nearest to the geometric median of their layer: the others can stand in for them, however large they
 * are. It looks at weights only.
 *
 * Differs from the paper: the filters are removed, at once or in rounds; the paper sets them to zero after each epoch and
 * lets training go on.
 */
export const geometricMedian = defineFilterPruner({
  name: 'geometric-median',
  summary: 'Removes the filters that are nearest to all others of their layer, which can replace them.',
  paper: {
    title: 'Filter Pruning via Geometric Median for Deep Neural Networks Acceleration',
    authors: 'He, Liu, Wang, Hu, Yang',
    venue: 'CVPR',
    year: 2019,
    arxiv: '1811.00250',
  },
  // Section 3.3: the score of F_j is Σ_k ‖F_j - F_k‖, smallest next to the geometric median.
  async score({ weight, shape, outAxis, context }) {
    const pace = createPace(context)
    const filters = filtersAlong(weight, shape, outAxis)
    const scores = new Float64Array(filters.length)
    for (const [j, one] of filters.entries()) {
      await pace(j * one.length)
      for (let k = 0; k < j; k++) {
        const apart = distance(one, filters[k])
        scores[j] += apart
        scores[k] += apart
      }
    }
    return scores
  },
})

function distance(a: Float32Array, b: Float32Array): number {
  let squares = 0
  for (let i = 0; i < a.length; i++) squares += (a[i] - b[i]) ** 2
  return Math.sqrt(squares)
}

/** The filters, each as a vector: [...shape] -> shape[axis] times the other elements. */
function filtersAlong(weight: Float32Array, shape: readonly number[], axis: number): Float32Array[] {
  const inner = elementCount(shape.slice(axis + 1))
  const step = inner * shape[axis]
  return Array.from({ length: shape[axis] }, (_, filter) => {
    const parts = Array.from({ length: weight.length / step }, (_, outer) => outer * step + filter * inner)
    const vector = new Float32Array(parts.length * inner)
    for (const [i, start] of parts.entries()) vector.set(weight.subarray(start, start + inner), i * inner)
    return vector
  })
}
