/** One neuron of the student: weights of -1, 0 and 1 and the two thresholds that make it put out what the teacher does. */
import { candidateSums, type CandidateSums } from './candidate-sums.ts'
import { searchCounts } from './search-counts.ts'

/** How sure the teacher is of each of its values. Agreement with it is counted in these. */
export interface TeacherFiring {
  /** p(-1) - p(0), by observation. */
  readonly belowGain: Float64Array
  /** p(0) - p(1). */
  readonly zeroGain: Float64Array
  /** Σ p(1): what a neuron that always puts out 1 agrees with. */
  readonly above: number
  /** Σ max(p(-1), p(0), p(1)): no neuron agrees with more. */
  readonly most: number
}

/** The probabilities of the paper's section 2: max(0, -tanh z), 1 - |tanh z| and max(0, tanh z) of -1, 0 and 1. */
export function teacherFiring(z: ArrayLike<number>): TeacherFiring {
  const belowGain = new Float64Array(z.length)
  const zeroGain = new Float64Array(z.length)
  let [above, most] = [0, 0]
  for (let s = 0; s < z.length; s++) {
    const mean = Math.tanh(z[s])
    const [minus, plus] = [Math.max(0, -mean), Math.max(0, mean)]
    const zero = 1 - Math.abs(mean)
    belowGain[s] = minus - zero
    zeroGain[s] = zero - plus
    above += plus
    most += Math.max(minus, zero, plus)
  }
  return { belowGain, zeroGain, above, most }
}

/** A student's neuron. */
export interface TernaryNeuron {
  /** -1, 0 or 1, [K]. */
  readonly codes: Int8Array
  /** It puts out -1 up to this sum, */
  readonly low: number
  /** 0 up to this one, and 1 above it; both may be infinite. */
  readonly high: number
  /** Share of the observations, by the teacher's probabilities, in which it does what the teacher does. */
  readonly agreement: number
  /** The largest such share that any neuron could have. */
  readonly most: number
}

export interface NeuronInputs {
  /** The teacher's weights, [K], in the sense in which more makes it fire. */
  readonly weights: ArrayLike<number>
  /** What the student sees, [K, count]. */
  readonly inputs: Float32Array
  readonly count: number
  /** Whether all inputs are integers. */
  readonly whole: boolean
}

/**
 * Searches the numbers of positive and negative weights to keep, the largest of each, and for these the two thresholds
 * that agree most with the teacher (Σ of the probability that it puts out the same).
 * @param exhaustive the share of the largest possible agreement below which all pairs of counts are tried.
 */
export function ternaryNeuron(
  neuron: NeuronInputs,
  teacher: TeacherFiring,
  exhaustive: number,
): TernaryNeuron & { readonly tried: number } {
  const { weights, inputs, count, whole } = neuron
  const candidates = candidateSums(weights, inputs, count)
  const most = { plus: candidates.positive.length, minus: candidates.negative.length }
  const score = createScore(teacher, whole)
  const { tried, ...counts } = searchCounts(
    most,
    (plus, minus) => score(candidates.sums(plus, minus)),
    exhaustive * teacher.most,
  )
  const { low, high, agreement } = bestThresholds(candidates.sums(counts.plus, counts.minus), teacher, whole)
  const codes = codesOf(candidates, counts, weights.length)
  return { codes, low, high, agreement: agreement / count, most: teacher.most / count, tried }
}

/** 1 for the first positive places, -1 for the first negative ones, and 0 for all other weights. */
export function codesOf(
  { positive, negative }: CandidateSums,
  { plus, minus }: { readonly plus: number; readonly minus: number },
  length: number,
): Int8Array {
  const codes = new Int8Array(length)
  for (const k of positive.slice(0, plus)) codes[k] = 1
  for (const k of negative.slice(0, minus)) codes[k] = -1
  return codes
}

/** Places of the histogram of sums of integers, and of other sums. */
const BINS = 1024
const PARTS = 256

/**
 * The agreement with the best thresholds on given sums. Sums of integers are told apart exactly as long as their range
 * is within `BINS`; others by so many equal parts of it, which is precise enough to choose by.
 */
function createScore({ belowGain, zeroGain, above }: TeacherFiring, whole: boolean): (sums: Float32Array) => number {
  const below = new Float64Array(BINS)
  const zero = new Float64Array(BINS)
  return (sums) => {
    const count = sums.length
    let least = sums[0]
    let largest = least
    for (let s = 1; s < count; s++) {
      const sum = sums[s]
      if (sum < least) least = sum
      else if (sum > largest) largest = sum
    }
    const range = largest - least
    const perStep = whole && range < BINS ? 1 : range > 0 ? ((whole ? BINS : PARTS) - 1) / range : 0
    const used = Math.round(range * perStep) + 1
    below.fill(0, 0, used)
    zero.fill(0, 0, used)
    for (let s = 0; s < count; s++) {
      // No sum is below the least: this rounds.
      const bin = ((sums[s] - least) * perStep + 0.5) | 0
      below[bin] += belowGain[s]
      zero[bin] += zeroGain[s]
    }
    return above + bestSplit(below, zero, used).gain
  }
}

/** Other sums than those of integers are not told apart when they are closer than this share of the largest of them. */
const APART = 1e-6

/**
 * The thresholds with the largest agreement, each in the middle between two sums that occur. None lies between sums
 * that an engine could round to the same number, or in another order.
 */
export function bestThresholds(
  sums: Float32Array,
  teacher: TeacherFiring,
  whole: boolean,
): { readonly low: number; readonly high: number; readonly agreement: number } {
  const order = Array.from(sums, (_, s) => s).sort((a, b) => sums[a] - sums[b])
  const apart = whole ? 0 : APART * Math.max(Math.abs(sums[order[0]]), Math.abs(sums[order.at(-1)!]))
  /** The smallest and the largest of sums that are taken for the same. */
  const same: { first: number; last: number }[] = []
  const below: number[] = []
  const zero: number[] = []
  for (const s of order) {
    if (same.length === 0 || sums[s] - same.at(-1)!.last > apart) {
      same.push({ first: sums[s], last: sums[s] })
      below.push(0)
      zero.push(0)
    }
    same.at(-1)!.last = sums[s]
    below[below.length - 1] += teacher.belowGain[s]
    zero[zero.length - 1] += teacher.zeroGain[s]
  }
  const { lastBelow, lastZero, gain } = bestSplit(below, zero, same.length)
  const between = (at: number) => {
    if (at < 0) return -Infinity
    if (at === same.length - 1) return Infinity
    const [{ last }, { first }] = [same[at], same[at + 1]]
    const middle = Math.fround((last + first) / 2)
    return middle < first ? middle : last
  }
  return { low: between(lastBelow), high: between(lastZero), agreement: teacher.above + gain }
}

/**
 * The a <= b with the largest Σ_{i <= a} below[i] + Σ_{i <= b} zero[i], of -1 (nothing) to count - 1: observations up
 * to a are -1, those up to b are 0, the others 1. One pass, for the best a up to b is known when b is reached.
 */
function bestSplit(
  below: ArrayLike<number>,
  zero: ArrayLike<number>,
  count: number,
): { readonly lastBelow: number; readonly lastZero: number; readonly gain: number } {
  let [sumBelow, sumZero, most, mostAt] = [0, 0, 0, -1]
  let best = { lastBelow: -1, lastZero: -1, gain: 0 }
  for (let b = 0; b < count; b++) {
    sumBelow += below[b]
    sumZero += zero[b]
    if (sumBelow > most) {
      most = sumBelow
      mostAt = b
    }
    if (most + sumZero > best.gain) best = { lastBelow: mostAt, lastZero: b, gain: most + sumZero }
  }
  return best
}
