/** A neuron's weights in the order in which they are kept, and what its inputs sum up to for any number of these. */

/** The sums of one neuron with ternary weights, for all numbers of positive and negative weights that it may keep. */
export interface CandidateSums {
  /** The places of the positive weights, the largest first; equal ones in the order in which they are stored. */
  readonly positive: readonly number[]
  /** Those of the negative weights, likewise. */
  readonly negative: readonly number[]
  /**
   * Σ x over the first `plus` positive places less Σ x over the first `minus` negative ones, one for each observation.
   * The next call writes into the same array.
   */
  sums(plus: number, minus: number): Float32Array
}

/**
 * Adds the inputs up in the order of the weights, so that the sums of any two counts are one difference away. Sums of
 * integers are exact up to 2^24.
 * @param weights of the neuron, [K].
 * @param inputs what it sees, [K, count]: one column an observation.
 */
export function candidateSums(weights: ArrayLike<number>, inputs: Float32Array, count: number): CandidateSums {
  const places = Array.from({ length: weights.length }, (_, k) => k)
  const bySize = (a: number, b: number) => Math.abs(weights[b]) - Math.abs(weights[a]) || a - b
  const positive = places.filter((k) => weights[k] > 0).sort(bySize)
  const negative = places.filter((k) => weights[k] < 0).sort(bySize)
  const [above, below] = [positive, negative].map((order) => runningSums(order, inputs, count))
  const result = new Float32Array(count)
  return {
    positive,
    negative,
    sums(plus, minus) {
      const [from, less] = [plus * count, minus * count]
      for (let s = 0; s < count; s++) result[s] = above[from + s] - below[less + s]
      return result
    },
  }
}

/** Row i holds the sums over the first i places, [places + 1, count]. */
function runningSums(order: readonly number[], inputs: Float32Array, count: number): Float32Array {
  const sums = new Float32Array((order.length + 1) * count)
  for (const [i, k] of order.entries())
    for (let s = 0; s < count; s++) sums[(i + 1) * count + s] = sums[i * count + s] + inputs[k * count + s]
  return sums
}
