import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { candidateSums } from '../../../../../src/methods/quantization/ternary-student/candidate-sums.ts'
import {
  bestThresholds,
  teacherFiring,
  ternaryNeuron,
} from '../../../../../src/methods/quantization/ternary-student/neuron.ts'
import { scaledRow } from '../../../../../src/methods/quantization/ternary-student/scaled-row.ts'
import { searchCounts } from '../../../../../src/methods/quantization/ternary-student/search-counts.ts'

interface Example {
  readonly weights: readonly number[]
  /** [count][K]. */
  readonly seen: readonly (readonly number[])[]
  readonly z: readonly number[]
}

/** [count][K] -> [K, count]. */
const columns = (seen: readonly (readonly number[])[]) =>
  Float32Array.from(seen[0].flatMap((_, k) => seen.map((row) => row[k])))

const probability = (z: number, value: number) =>
  value === 0 ? 1 - Math.abs(Math.tanh(z)) : Math.max(0, value * Math.tanh(z))

/** Σ p(what the student puts out) by the definition. */
function agreement({ seen, z }: Example, codes: ArrayLike<number>, low: number, high: number): number {
  return seen.reduce((total, x, s) => {
    const sum = x.reduce((all, value, k) => all + value * codes[k], 0)
    return total + probability(z[s], sum > high ? 1 : sum > low ? 0 : -1)
  }, 0)
}

/** The best of all pairs of thresholds on given codes: all halves around the sums that occur. */
function bestByTrial(example: Example, codes: ArrayLike<number>): number {
  const sums = example.seen.map((x) => x.reduce((all, value, k) => all + value * codes[k], 0))
  const limits = [-Infinity, ...sums.map((sum) => sum + 0.5), Infinity]
  let best = 0
  for (const low of limits)
    for (const high of limits) if (low <= high) best = Math.max(best, agreement(example, codes, low, high))
  return best
}

function countedCodes(weights: readonly number[], plus: number, minus: number): number[] {
  const ranked = weights
    .map((weight, k) => ({ weight, k }))
    .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight) || a.k - b.k)
  const codes = weights.map(() => 0)
  for (const { k } of ranked.filter(({ weight }) => weight > 0).slice(0, plus)) codes[k] = 1
  for (const { k } of ranked.filter(({ weight }) => weight < 0).slice(0, minus)) codes[k] = -1
  return codes
}

const search = ({ weights, seen, z }: Example, exhaustive: number, whole = true) =>
  ternaryNeuron({ weights, inputs: columns(seen), count: seen.length, whole }, teacherFiring(z), exhaustive)

/** Neurons of up to six inputs of -1, 0 and 1, the teacher's argument from the weights or made up. */
const examples = fc.integer({ min: 1, max: 6 }).chain((length) =>
  fc.record({
    weights: fc.array(
      fc.integer({ min: -8, max: 8 }).map((n) => n / 4),
      { minLength: length, maxLength: length },
    ),
    seen: fc.array(fc.array(fc.constantFrom(-1, 0, 1), { minLength: length, maxLength: length }), {
      minLength: 1,
      maxLength: 12,
    }),
    noise: fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 12, maxLength: 12 }),
  }),
)
const exampleOf = ({ weights, seen, noise }: { weights: number[]; seen: number[][]; noise: number[] }): Example => ({
  weights,
  seen,
  z: seen.map((x, s) => x.reduce((sum, value, k) => sum + value * weights[k], 0) + noise[s]),
})

describe('a neuron of the student', () => {
  it('keeps two weights of three and steps between the sums, as worked out by hand', () => {
    // z = 2, -2, 0.1, 0: what the teacher mostly puts out is 1, -1, 0, 0. With the codes 1, -1, 0 the sums are 2, -2, 0, 0.
    const example: Example = {
      weights: [2, -1.5, 0.1],
      seen: [
        [1, -1, 0],
        [-1, 1, 0],
        [0, 0, 1],
        [1, 1, 0],
      ],
      z: [2, -2, 0.1, 0],
    }
    const found = search(example, 1)
    expect([...found.codes]).toEqual([1, -1, 0])
    expect([found.low, found.high]).toEqual([-1, 1])
    const sure = Math.tanh(2)
    expect(found.agreement).toBeCloseTo((2 * sure + (1 - Math.tanh(0.1)) + 1) / 4, 12)
    expect(found.agreement).toBeCloseTo(found.most, 12)
  })

  it('agrees as much as the best of all counts and thresholds, when all pairs are asked for', () => {
    fc.assert(
      fc.property(examples, (raw) => {
        const example = exampleOf(raw)
        const found = search(example, Infinity)
        const counts = [1, -1].map((sign) => example.weights.filter((weight) => weight * sign > 0).length)
        let best = 0
        for (let plus = 0; plus <= counts[0]; plus++)
          for (let minus = 0; minus <= counts[1]; minus++)
            best = Math.max(best, bestByTrial(example, countedCodes(example.weights, plus, minus)))
        expect(found.agreement * example.seen.length).toBeCloseTo(best, 6)
        expect(agreement(example, found.codes, found.low, found.high)).toBeCloseTo(best, 6)
        expect(found.agreement).toBeLessThanOrEqual(found.most + 1e-9)
      }),
      { numRuns: 60 },
    )
  })

  it('counts the agreement right also where the search is not exhaustive and inputs are no integers', () => {
    fc.assert(
      fc.property(examples, fc.integer({ min: 1, max: 24 }), (raw, eighths) => {
        const example = exampleOf({
          ...raw,
          seen: raw.seen.map((row) => row.map((x, k) => (x * eighths) / 8 + k)),
        })
        const found = search(example, 0, false)
        const counted = agreement(example, found.codes, found.low, found.high)
        const silent = bestByTrial(
          example,
          example.weights.map(() => 0),
        )
        expect(Math.abs(found.agreement * example.seen.length - counted)).toBeLessThan(1e-6)
        expect(counted).toBeGreaterThanOrEqual(silent - 1e-6)
      }),
      { numRuns: 60 },
    )
  })

  it('has no weights and steps nowhere where the teacher never fires, always fires, or has none itself', () => {
    const seen = [
      [1, 0],
      [0, -1],
      [1, 1],
    ]
    const silent = search({ weights: [1, -1], seen, z: [0, 0, 0] }, 1)
    expect([[...silent.codes], silent.low, silent.high]).toEqual([[0, 0], -Infinity, Infinity])
    const loud = search({ weights: [1, -1], seen, z: [9, 9, 9] }, 1)
    expect([[...loud.codes], loud.low, loud.high]).toEqual([[0, 0], -Infinity, -Infinity])
    const below = search({ weights: [0, 0], seen, z: [-9, -9, -9] }, 1)
    expect([[...below.codes], below.low, below.high]).toEqual([[0, 0], Infinity, Infinity])
    expect(below.agreement).toBeCloseTo(1, 6)
  })

  it('puts thresholds in the middle between the sums that occur', () => {
    const firing = teacherFiring([-3, 0, 0, 3])
    const { low, high } = bestThresholds(Float32Array.of(-4, -1, 2, 7), firing, true)
    expect([low, high]).toEqual([-2.5, 4.5])
    // -1 and the next number may come out of an engine in another order: both are 0, as most of them are.
    const near = bestThresholds(Float32Array.of(-1, -0.99999994, 2, 7), firing, false)
    expect(near.high).toBe(4.5)
    expect([-Infinity, 0.5]).toContain(near.low)
    expect(near.agreement).toBeLessThan(bestThresholds(Float32Array.of(-1, -0.5, 2, 7), firing, false).agreement)
  })
})

describe('the sums of kept weights', () => {
  it('are those of the largest ones, equal weights in their order', () => {
    const seen = [
      [1, 2, 3, 4],
      [5, -6, 7, -8],
    ]
    const { positive, negative, sums } = candidateSums([0.5, -2, 0.5, -3], columns(seen), 2)
    expect([positive, negative]).toEqual([
      [0, 2],
      [3, 1],
    ])
    expect([...sums(0, 0)]).toEqual([0, 0])
    expect([...sums(1, 1)]).toEqual([1 - 4, 5 + 8])
    expect([...sums(2, 2)]).toEqual([1 + 3 - 4 - 2, 5 + 7 + 8 + 6])
  })
})

describe('the search for counts', () => {
  it('finds the top of a hill without looking at most pairs', () => {
    const hill = (plus: number, minus: number) => 90 - Math.abs(plus - 61) - Math.abs(minus - 17)
    const found = searchCounts({ plus: 100, minus: 80 }, hill, -Infinity)
    expect(found).toMatchObject({ plus: 61, minus: 17, score: 90 })
    expect(found.tried).toBeLessThan(1200)
  })

  it('finds a lonely best pair only when it has to', () => {
    const lonely = (plus: number, minus: number) => (plus === 3 && minus === 55 ? 2 : Math.min(1, plus / 40))
    expect(searchCounts({ plus: 60, minus: 60 }, lonely, 0.9).score).toBe(1)
    expect(searchCounts({ plus: 60, minus: 60 }, lonely, 1.5)).toMatchObject({ plus: 3, minus: 55 })
  })

  it('takes the fewest weights of those it has seen to be as good', () => {
    expect(searchCounts({ plus: 9, minus: 9 }, () => 1, 2)).toMatchObject({ plus: 0, minus: 0 })
  })
})

describe('a row without an activation', () => {
  it('gets the scale and shift of least squares, and gives back what is ternary', () => {
    const seen = [
      [1, 0, -1],
      [0, 1, 1],
      [-1, -1, 0],
      [1, 1, 1],
      [0, -1, 1],
    ]
    const weights = [0.5, -0.5, 0]
    const outputs = Float64Array.from(seen, ([a, b]) => 0.5 * a - 0.5 * b)
    const row = { weights, inputs: columns(seen), count: 5, whole: true }
    const exact = scaledRow(row, outputs, true)
    expect([...exact.codes]).toEqual([1, -1, 0])
    expect([exact.scale, exact.shift, exact.explained]).toEqual([
      expect.closeTo(0.5, 9),
      expect.closeTo(0, 9),
      expect.closeTo(1, 9),
    ])
    const moved = scaledRow(
      row,
      outputs.map((y) => y + 3),
      true,
    )
    expect(moved.shift).toBeCloseTo(3, 9)
    const none = scaledRow({ ...row, weights: [0, 0, 0] }, new Float64Array(5), true)
    expect([[...none.codes], none.scale, none.shift]).toEqual([[0, 0, 0], 1, 0])
  })
})
