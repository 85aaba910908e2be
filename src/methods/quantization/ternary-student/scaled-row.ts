/** One output of a layer that no ternary activation follows: ternary weights, a scale, and a shift of its bias. */
import { candidateSums } from './candidate-sums.ts'
import { codesOf, type NeuronInputs } from './neuron.ts'
import { searchCounts } from './search-counts.ts'

export interface ScaledRow {
  /** -1, 0 or 1, [K]. */
  readonly codes: Int8Array
  /** What they stand for; 1 where all are zero. */
  readonly scale: number
  /** What is added to the bias. */
  readonly shift: number
  /** Share of the output's variance that is explained; without a shift that of its mean square. */
  readonly explained: number
}

/**
 * Searches the counts as for a neuron, but by what is left of the teacher's output y after least squares: scale · sum +
 * shift.
 * @param outputs what the teacher's weights give, [count], without the bias.
 * @param shifts whether there is a bias to change.
 */
export function scaledRow(
  { weights, inputs, count }: NeuronInputs,
  outputs: Float64Array,
  shifts: boolean,
): ScaledRow & { readonly tried: number } {
  const candidates = candidateSums(weights, inputs, count)
  const most = { plus: candidates.positive.length, minus: candidates.negative.length }
  const { plus, minus, tried } = searchCounts(
    most,
    (p, m) => leastSquares(candidates.sums(p, m), outputs, shifts).explained,
    0,
  )
  const fit = leastSquares(candidates.sums(plus, minus), outputs, shifts)
  return { ...fit, codes: codesOf(candidates, { plus, minus }, weights.length), tried }
}

/** y ≈ scale · sum + shift; sums that fall where y rises explain nothing. */
function leastSquares(sums: Float32Array, outputs: Float64Array, shifts: boolean): Omit<ScaledRow, 'codes'> {
  const count = sums.length
  let [s, y, ss, sy, yy] = [0, 0, 0, 0, 0]
  for (let i = 0; i < count; i++) {
    s += sums[i]
    y += outputs[i]
    ss += sums[i] * sums[i]
    sy += sums[i] * outputs[i]
    yy += outputs[i] * outputs[i]
  }
  const [meanSum, mean] = shifts ? [s / count, y / count] : [0, 0]
  const variance = ss - count * meanSum * meanSum
  const covariance = sy - count * meanSum * mean
  const total = yy - count * mean * mean
  // Sums that do not vary leave rounding alone.
  if (!(variance > 1e-9 * ss) || !(covariance > 0)) return { scale: 1, shift: mean, explained: 0 }
  const scale = covariance / variance
  return { scale, shift: mean - scale * meanSum, explained: total > 0 ? (scale * covariance) / total : 0 }
}
