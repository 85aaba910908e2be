/** How much a step forgets of what came before: the memory is some 5,000 steps long. */
const MEMORY = 0.9998
/** How far the weights may be from 0 at first, as a variance, for inputs of variance 1. */
const FREEDOM = 0.01
/** Where no input has come for long, what is known of its weight is not forgotten beyond this. */
const LEAST_KNOWN = 1e6

/**
 * A linear prediction whose weights are at each step those of least squares over all steps so far, later ones counting
 * more: recursive least squares (Plackett, "Some Theorems in Least Squares", 1950). Only additions, multiplications and
 * divisions of IEEE doubles, in a fixed order.
 */
export class LeastSquares {
  /** The caller sets these before `predict`. */
  readonly inputs: Float64Array
  private readonly weights: Float64Array
  /** The inverse of the inputs' second moments, row by row. */
  private readonly inverse: Float64Array
  private readonly gains: Float64Array
  private started = false

  constructor(size: number) {
    this.inputs = new Float64Array(size)
    this.weights = new Float64Array(size)
    this.gains = new Float64Array(size)
    this.inverse = new Float64Array(size * size)
  }

  predict(): number {
    const { inputs, weights } = this
    let prediction = 0
    for (let k = 0; k < inputs.length; k++) prediction += weights[k] * inputs[k]
    return prediction
  }

  /** Learns what the prediction missed. @param variance That of the inputs, for the first step. */
  learn(missed: number, variance: number): void {
    const { inputs, weights, gains, inverse } = this
    const size = inputs.length
    if (!this.started) this.restart(variance)
    let share = MEMORY
    let quiet = true
    for (let a = 0; a < size; a++) {
      let gain = 0
      for (let b = 0; b < size; b++) gain += inverse[a * size + b] * inputs[b]
      gains[a] = gain
      share += gain * inputs[a]
      if (inputs[a] !== 0) quiet = false
    }
    if (quiet) return
    // Rounding may leave no inverse of anything; written so that what is not a number ends here, too.
    if (!(share >= MEMORY / 2)) return this.restart(variance)
    let memory = MEMORY
    for (let a = 0; a < size; a++) if (inverse[a * size + a] * variance > LEAST_KNOWN) memory = 1
    for (let a = 0; a < size; a++) {
      const gain = gains[a] / share
      weights[a] += gain * missed
      for (let b = 0; b < size; b++) inverse[a * size + b] = (inverse[a * size + b] - gain * gains[b]) / memory
    }
  }

  private restart(variance: number): void {
    this.started = true
    this.inverse.fill(0)
    this.weights.fill(0)
    const size = this.inputs.length
    for (let k = 0; k < size; k++) this.inverse[k * size + k] = FREEDOM / variance
  }
}
