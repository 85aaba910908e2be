import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { signsOf } from '../../../../src/methods/binary-rows.ts'
import { bestTernary } from '../../../../src/methods/factorization/fixed-point-factorization.ts'
import {
  addTerm,
  alternatingTerm,
  fitTerms,
  type Alphabet,
  type Term,
} from '../../../../src/methods/factorization/terms.ts'
import { innerProduct } from '../../../../src/tensor/linalg.ts'
import { createRandom } from '../../../../src/tensor/random.ts'

const signs: Alphabet = { codes: [-1, 1], encode: signsOf }
const ternary: Alphabet = { codes: [-1, 0, 1], encode: bestTernary }
const alphabets = [
  { name: 'signs', alphabet: signs },
  { name: 'ternary', alphabet: ternary },
]

function noise(seed: number, count: number): Float64Array {
  const random = createRandom(seed)
  return Float64Array.from({ length: count }, () => random.normal())
}

function patterns(codes: readonly number[], length: number): Float64Array[] {
  if (length === 0) return [new Float64Array(0)]
  return patterns(codes, length - 1).flatMap((rest) => codes.map((code) => Float64Array.of(...rest, code)))
}

/** The most that any term of these codes can take from the sum of squares. */
function bestGain(matrix: Float64Array, rows: number, columns: number, codes: readonly number[]): number {
  let best = 0
  for (const u of patterns(codes, rows))
    for (const v of patterns(codes, columns)) {
      let product = 0
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) product += u[i] * matrix[i * columns + j] * v[j]
      const squares = innerProduct(u, u) * innerProduct(v, v)
      if (squares > 0) best = Math.max(best, product ** 2 / squares)
    }
  return best
}

function left(matrix: Float64Array, terms: readonly Term[]): number {
  const rest = matrix.slice()
  for (const term of terms) addTerm(rest, term, -1)
  return innerProduct(rest, rest)
}

const settings = { starts: 1, passes: 0, pace: () => Promise.resolve() }

function fit(matrix: Float64Array, rows: number, columns: number, rank: number, alphabet: Alphabet, passes = 0) {
  const random = createRandom(7)
  return fitTerms({
    ...settings,
    matrix,
    rows,
    columns,
    rank,
    passes,
    random,
    fit: (task) => alternatingTerm(task, alphabet),
  })
}

describe.each(alphabets)('terms of $name', ({ alphabet }) => {
  it.each([
    [4, 4],
    [3, 4],
    [4, 2],
    [1, 4],
  ])('are the best there are for matrices of %i x %i', (rows, columns) => {
    for (let seed = 1; seed <= 12; seed++) {
      const matrix = noise(seed, rows * columns)
      const term = alternatingTerm({ ...settings, rows, columns, residual: matrix, random: createRandom(1) }, alphabet)
      const gain = innerProduct(matrix, matrix) - left(matrix, [term])
      expect(gain).toBeCloseTo(bestGain(matrix, rows, columns, alphabet.codes), 9)
    }
  })

  it('fit better the more there are, and the more often they are gone over again', async () => {
    const matrix = noise(3, 9 * 14)
    let before = innerProduct(matrix, matrix)
    for (const rank of [1, 2, 3, 5, 8, 13, 30]) {
      const terms = await fit(matrix, 9, 14, rank, alphabet)
      expect(terms).toHaveLength(rank)
      for (const { u, v } of terms)
        expect([...u, ...v].every((code) => (alphabet.codes as number[]).includes(code))).toBe(true)
      const error = left(matrix, terms)
      expect(error).toBeLessThan(before)
      before = error
    }
    const errors: number[] = []
    for (const passes of [0, 1, 2, 5, 20]) errors.push(left(matrix, await fit(matrix, 9, 14, 8, alphabet, passes)))
    for (let i = 1; i < errors.length; i++) expect(errors[i]).toBeLessThanOrEqual(errors[i - 1] + 1e-9)
    expect(errors.at(-1)).toBeLessThan(0.98 * errors[0])
  })

  it('give sums of few outer products back, and stop there', async () => {
    // Columns and rows of Hadamard matrices are orthogonal: what is taken first is taken exactly.
    const u = [
      [1, 1, 1, 1],
      [1, -1, 1, -1],
      [1, 1, -1, -1],
    ]
    const v = [
      [1, 1, 1, 1, 1, 1, 1, 1],
      [1, -1, 1, -1, 1, -1, 1, -1],
      [1, 1, -1, -1, 1, 1, -1, -1],
    ]
    const scales = [3, -2, 0.5]
    const matrix = new Float64Array(32)
    for (const [k, scale] of scales.entries())
      addTerm(matrix, { u: Float64Array.from(u[k]), v: Float64Array.from(v[k]), scale }, 1)
    const terms = await fit(matrix, 4, 8, 10, signs)
    expect(terms.map(({ scale }) => Math.abs(scale))).toEqual([3, 2, 0.5])
    expect(left(matrix, terms)).toBe(0)
  })

  it('are one without a scale where there is nothing, and one for constants', async () => {
    const none = await fit(new Float64Array(12), 3, 4, 5, alphabet)
    expect(none.map(({ scale }) => scale)).toEqual([0])
    const constant = await fit(new Float64Array(63).fill(-0.25), 7, 9, 5, alphabet)
    expect(constant).toHaveLength(1)
    expect(left(new Float64Array(63).fill(-0.25), constant)).toBe(0)
  })
})

describe('terms of signs', () => {
  it('come near the best where patterns are not all tried', () => {
    let [found, best] = [0, 0]
    for (let seed = 1; seed <= 4; seed++) {
      const residual = noise(seed, 49)
      const task = { ...settings, rows: 7, columns: 7, residual, random: createRandom(1), starts: 8 }
      const term = alternatingTerm(task, signs)
      found += innerProduct(residual, residual) - left(residual, [term])
      best += bestGain(residual, 7, 7, [-1, 1])
    }
    expect(found).toBeLessThanOrEqual(best + 1e-9)
    expect(found).toBeGreaterThan(0.95 * best)
  })
})

describe('bestTernary', () => {
  it('takes the largest as long as the next one helps', () => {
    expect([...bestTernary(Float64Array.of(3, -0.1, -2.5, 0.2))]).toEqual([1, 0, -1, 0])
    expect([...bestTernary(Float64Array.of(1, 1, -1))]).toEqual([1, 1, -1])
    expect([...bestTernary(Float64Array.of(0, 0))]).toEqual([1, 0])
  })

  it('is the best of all codes', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: 1, maxLength: 6 }), (values) => {
        const gain = (codes: Float64Array) =>
          innerProduct(codes, Float64Array.from(values)) ** 2 / Math.max(1, innerProduct(codes, codes))
        const best = Math.max(...patterns([-1, 0, 1], values.length).map(gain))
        expect(gain(bestTernary(Float64Array.from(values)))).toBeCloseTo(best, 9)
      }),
      { numRuns: 100 },
    )
  })
})
