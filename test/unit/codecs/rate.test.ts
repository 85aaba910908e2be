import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mixing } from '../../../src/codecs/mixing.ts'
import { learnRate, totalBits } from '../../../src/codecs/rate.ts'
import { createRandom } from '../../../src/tensor/random.ts'

/** Codes as quantized weights have them: sizes differ by row and column. */
function weightLike(shape: readonly number[], seed: number, size: number): Int16Array {
  const random = createRandom(seed)
  const filter = shape.slice(1).reduce((product, axis) => product * axis, 1)
  const columns = Float64Array.from({ length: filter }, () => 0.2 + 2 * random.uniform())
  const rows = Float64Array.from({ length: shape[0] }, () => 0.2 + 2 * random.uniform())
  return Int16Array.from({ length: shape[0] * filter }, (_, i) =>
    Math.round(size * rows[Math.floor(i / filter)] * columns[i % filter] * random.normal()),
  )
}

const zigzag = (codes: Int16Array) => Uint16Array.from(codes, (code) => (code < 0 ? -2 * code - 1 : 2 * code))

describe('the model of rates', () => {
  it.each([
    [[64, 32, 3, 3], 0.4],
    [[128, 256, 1, 1], 1.2],
    [[100, 100], 4],
  ] as const)('is near what a coder writes: %j, size %d', (shape, size) => {
    const codes = weightLike(shape, 7, size)
    const symbols = zigzag(codes)
    const alphabet = symbols.reduce((most, symbol) => Math.max(most, symbol), 0) + 1
    const written = mixing.encode({ symbols, alphabet, shape }).length * 8
    const estimate = totalBits(learnRate(codes, shape), codes)
    expect(estimate).toBeLessThan(1.05 * written)
    expect(estimate).toBeGreaterThan(0.8 * written)
  })

  it('prices by where a code lies: a large one costs less in a row of large ones', () => {
    const codes = new Int16Array(64 * 64)
    const random = createRandom(3)
    for (let i = 0; i < 64 * 32; i++) codes[i] = Math.round(6 * random.normal())
    const rate = learnRate(codes, [64, 64])
    const inside = rate.context(codes, 20 * 64 + 8)
    const outside = rate.context(codes, 50 * 64 + 8)
    expect(rate.bits(inside, 6)).toBeLessThan(rate.bits(outside, 6))
    expect(rate.bits(inside, 0)).toBeGreaterThan(rate.bits(outside, 0))
  })

  it('has a positive and finite price for every code, and prices of a context that make up a probability', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -60, max: 60 }), { minLength: 1, maxLength: 60 }), (values) => {
        const codes = Int16Array.from(values)
        const rate = learnRate(codes, [1, values.length])
        let sum = 0
        for (let code = -48; code <= 48; code++) {
          const bits = rate.bits(rate.context(codes, 0), code)
          expect(bits).toBeGreaterThan(0)
          sum += 2 ** -bits
        }
        expect(sum).toBeCloseTo(1, 6)
        for (const code of [-32768, -49, 49, 32767]) expect(rate.bits(0, code)).toBeLessThan(100)
        expect(rate.bits(0, 1000)).toBeGreaterThan(rate.bits(0, 60))
      }),
      { numRuns: 30 },
    )
  })
})
