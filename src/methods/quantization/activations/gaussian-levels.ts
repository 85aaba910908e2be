/**
 * The quantizers of least squared error for the positive half of a Gaussian: Cai et al. 2017 (arXiv 1702.00953),
 * section 4.
 */
import { errorFunction } from '../../../tensor/special.ts'

/** A quantizer Q of max(x, 0): level i where x lies in (thresholds[i - 1], thresholds[i]], and 0 where x <= 0. */
export interface HalfWaveLevels {
  /** Ascending, one for each positive level; the first is 0. */
  readonly thresholds: Float64Array
  /** Ascending, one more than there are thresholds; the first is 0. */
  readonly levels: Float64Array
  /** E[(Q(x) - max(x, 0))²] for x of the unit Gaussian. */
  readonly error: number
}

/** Whether levels are multiples of the first one above 0, or lie where they serve best. */
export type Spacing = 'uniform' | 'optimal'

/** The largest number of levels above 0: those of 8 bits. */
const mostLevels = 255

/**
 * The quantizer of least squared error for max(x, 0) with x of the unit Gaussian, with so many levels above 0.
 * Thresholds lie in the middle of two levels, but for the first, which is 0, as in the authors' code: whatever is positive
 * stays positive. Values are exact to 1e-9.
 * @param count 1 to 255.
 * @throws RangeError when there are fewer or more.
 */
export function halfWaveLevels(count: number, spacing: Spacing): HalfWaveLevels {
  if (!Number.isInteger(count) || count < 1 || count > mostLevels)
    throw new RangeError(`levels above 0 are 1 to ${mostLevels}, not ${count}`)
  const positive = spacing === 'uniform' ? uniformLevels(count) : optimalLevels(count)
  return {
    thresholds: thresholdsOf(positive),
    levels: Float64Array.of(0, ...positive),
    error: squaredError(positive),
  }
}

/** The values i · step, i from 1, of the step at which the derivative of the error is 0: there is one such step. */
function uniformLevels(count: number): Float64Array {
  const levels = (step: number) => Float64Array.from({ length: count }, (_, i) => (i + 1) * step)
  // Half of dE / d step: sum of i · (i · step - x) over the cells; what comes of moving thresholds cancels out.
  const slope = (step: number) => {
    const q = levels(step)
    return cellsOf(thresholdsOf(q)).reduce((sum, { mass, moment }, i) => sum + (i + 1) * (q[i] * mass - moment), 0)
  }
  let [low, high] = [0, 2]
  for (let middle = 1; middle > low && middle < high; middle = (low + high) / 2)
    if (slope(middle) < 0) low = middle
    else high = middle
  return levels(high)
}

/**
 * Where each level is the mean of its own cell (Lloyd 1982, Max 1960). Lloyd's alternation needs ten thousands of
 * rounds where levels are many; Newton's method on the same equations, each of which knows three levels, needs a few.
 */
function optimalLevels(count: number): Float64Array {
  let levels = companded(count)
  for (let round = 0; round < 100; round++) {
    const { excess, lower, diagonal, upper } = lloydEquations(levels)
    const step = solveTridiagonal(lower, diagonal, upper, excess)
    const newton = levels.map((level, i) => level - step[i])
    const sound = newton.every((level, i) => level > (i === 0 ? 0 : newton[i - 1]))
    // Lloyd's own round, where Newton's would leave the order.
    const next = sound ? newton : levels.map((level, i) => level - excess[i])
    const moved = next.reduce((most, level, i) => Math.max(most, Math.abs(level - levels[i])), 0)
    levels = next
    if (moved < 1e-13) break
  }
  return levels
}

/** Where levels lie when they are many: as densely as the third root of the density (Panter, Dite 1951). */
function companded(count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => {
    const share = (i + 0.5) / count
    let [low, high] = [0, 12]
    while (high - low > 1e-6) {
      const middle = (low + high) / 2
      if (errorFunction(middle / Math.sqrt(6)) < share) low = middle
      else high = middle
    }
    return (low + high) / 2
  })
}

/**
 * How far each level lies above the mean of its cell, and the derivatives of that by the level before, itself, the
 * next.
 */
function lloydEquations(levels: Float64Array) {
  const count = levels.length
  const thresholds = thresholdsOf(levels)
  const cells = cellsOf(thresholds)
  const means = Float64Array.from(cells, ({ mass, moment }) => moment / mass)
  const lower = new Float64Array(count)
  const upper = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    // A threshold moves by half of what a level of its two moves, the mean of a cell by pdf · distance / mass.
    if (i > 0) lower[i] = (-density(thresholds[i]) * (means[i] - thresholds[i])) / cells[i].mass / 2
    if (i + 1 < count) upper[i] = (-density(thresholds[i + 1]) * (thresholds[i + 1] - means[i])) / cells[i].mass / 2
  }
  const diagonal = lower.map((value, i) => 1 + value + upper[i])
  return { excess: levels.map((level, i) => level - means[i]), lower, diagonal, upper }
}

/** x of lower[i] x[i - 1] + diagonal[i] x[i] + upper[i] x[i + 1] = right[i] (Thomas's algorithm). */
function solveTridiagonal(lower: Float64Array, diagonal: Float64Array, upper: Float64Array, right: Float64Array) {
  const pivot = Float64Array.from(diagonal)
  const x = Float64Array.from(right)
  for (let i = 1; i < x.length; i++) {
    const factor = lower[i] / pivot[i - 1]
    pivot[i] -= factor * upper[i - 1]
    x[i] -= factor * x[i - 1]
  }
  for (let i = x.length - 1; i >= 0; i--) x[i] = (x[i] - (i + 1 < x.length ? upper[i] * x[i + 1] : 0)) / pivot[i]
  return x
}

function thresholdsOf(levels: Float64Array): Float64Array {
  return levels.map((level, i) => (i === 0 ? 0 : (levels[i - 1] + level) / 2))
}

interface Cell {
  /** The integrals of the density, of x times it, and of x² times it, from one threshold to the next. */
  readonly mass: number
  readonly moment: number
  readonly square: number
}

function cellsOf(thresholds: Float64Array): Cell[] {
  return Array.from(thresholds, (low, i) => {
    const high = thresholds[i + 1] ?? Number.POSITIVE_INFINITY
    const mass = (errorFunction(high / Math.SQRT2) - errorFunction(low / Math.SQRT2)) / 2
    const [start, end] = [density(low), density(high)]
    return { mass, moment: start - end, square: mass + low * start - (end === 0 ? 0 : high * end) }
  })
}

function squaredError(levels: Float64Array): number {
  return cellsOf(thresholdsOf(levels)).reduce(
    (sum, { mass, moment, square }, i) => sum + levels[i] * levels[i] * mass - 2 * levels[i] * moment + square,
    0,
  )
}

function density(x: number): number {
  return Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)
}
