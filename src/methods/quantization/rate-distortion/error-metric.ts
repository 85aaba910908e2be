import { UsageError } from '../../../errors.ts'
import type { InputMoments } from '../../calibration.ts'

/**
 * The squared error that a change Δ of a row's weights makes in its output, E[(Δᵀx)²] = Δᵀ A Δ, as a sum of squares in
 * the order in which weights are chosen: Σ_k d_k (Δ_k + Σ_{j<k} m_kj Δ_j)². So each weight is chosen to make up for the
 * errors of those before it.
 */
export interface ErrorMetric {
  /** K, the row's weights, and one more where the bias is the last of them. */
  readonly size: number
  /** d_k for each group: [groups, size]. */
  readonly scale: Float64Array
  /** m_kj, [groups, size, size], strictly lower triangular; absent where errors are not made up for. */
  readonly feedback?: Float64Array
}

/**
 * The metric of a layer from the moments of its inputs.
 * The factors are those of A = Mᵀ D M, M unit lower triangular, found from the last weight to the first; the choices
 * are those of Frantar, Ashkboos, Hoefler, Alistarh: GPTQ (2022), section 3, which gets them from A's inverse.
 * @param bias whether the bias is chosen as well, after the weights: it sees the input 1.
 * @param damping share of the mean diagonal that is added to it, against what few examples do not show.
 */
export function feedbackMetric(moments: InputMoments, bias: boolean, damping: number, place?: string): ErrorMetric {
  const { groups, length } = moments
  const size = length + (bias ? 1 : 0)
  const scale = new Float64Array(groups * size)
  const feedback = new Float64Array(groups * size * size)
  for (let g = 0; g < groups; g++) {
    const a = feedback.subarray(g * size * size, (g + 1) * size * size)
    let trace = 0
    for (let i = 0; i < length; i++) {
      for (let j = 0; j < length; j++) a[i * size + j] = moments.gram[(g * length + i) * length + j]
      trace += a[i * size + i]
      if (bias) a[length * size + i] = a[i * size + length] = moments.mean[g * length + i]
    }
    if (bias) a[size * size - 1] = 1
    const added = Math.max((damping * trace) / length, 1e-30)
    for (let i = 0; i < length; i++) a[i * size + i] += added
    factorize(a, size, scale.subarray(g * size, (g + 1) * size), place)
  }
  return { size, scale, feedback }
}

/** Turns `a` into M (its strictly lower part) and puts D into `d`. */
function factorize(a: Float64Array, size: number, d: Float64Array, place?: string): void {
  for (let k = size - 1; k >= 0; k--) {
    const pivot = a[k * size + k]
    if (!(pivot > 0))
      throw new UsageError(
        'calibration-singular',
        'the inputs of the layer on the data leave no metric of its errors',
        {
          place,
          hint: 'Give more examples, or a larger damping.',
        },
      )
    d[k] = pivot
    for (let j = 0; j < k; j++) a[k * size + j] /= pivot
    for (let i = 0; i < k; i++) {
      const factor = a[k * size + i] * pivot
      if (factor === 0) continue
      for (let j = 0; j < k; j++) a[i * size + j] -= factor * a[k * size + j]
    }
    for (let j = k; j < size; j++) a[k * size + j] = 0
  }
}

/** Only the mean square of each input counts, damped as above: errors are not made up for. */
export function diagonalMetric({ groups, length, gram }: InputMoments, damping: number): ErrorMetric {
  const scale = Float64Array.from({ length: groups * length }, (_, at) => gram[at * length + (at % length)])
  for (let g = 0; g < groups; g++) {
    const own = scale.subarray(g * length, (g + 1) * length)
    const added = (damping * own.reduce((sum, value) => sum + value, 0)) / length
    for (let k = 0; k < length; k++) own[k] += added
  }
  return { size: length, scale }
}

/** All inputs count alike. */
export function plainMetric(groups: number, length: number): ErrorMetric {
  return { size: length, scale: new Float64Array(groups * length).fill(1) }
}
