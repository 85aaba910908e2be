import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { binaryRow, signsOf } from '../../../src/methods/binary-rows.ts'
import { innerProduct, times } from '../../../src/tensor/linalg.ts'
import { createRandom } from '../../../src/tensor/random.ts'

/** Moments of few random inputs that hang together, damped; and a row of weights. */
function example(seed: number, size: number) {
  const random = createRandom(seed)
  const hessian = new Float64Array(size * size)
  const common = Array.from({ length: size }, () => random.normal())
  for (let n = 0; n < 3 * size; n++) {
    const factor = random.normal()
    const x = common.map((value) => factor * value + 0.5 * random.normal())
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) hessian[i * size + j] += (x[i] * x[j]) / (3 * size)
  }
  for (let i = 0; i < size; i++) hessian[i * size + i] += 0.01
  return { hessian, row: Float64Array.from({ length: size }, () => random.normal()) }
}

/** (w - α b)ᵀ H (w - α b). */
function errorOf(hessian: Float64Array, row: Float64Array, signs: Float64Array, scale: number): number {
  const rest = row.map((value, i) => value - scale * signs[i])
  return innerProduct(rest, times(hessian, row.length, rest))
}

function bestScale(hessian: Float64Array, row: Float64Array, signs: Float64Array): number {
  return innerProduct(signs, times(hessian, row.length, row)) / innerProduct(signs, times(hessian, row.length, signs))
}

describe('binaryRow', () => {
  it('is the sign and the mean absolute weight where inputs are independent', () => {
    const identity = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1)
    const { signs, scale } = binaryRow(identity, 3, Float64Array.of(0.5, -2, 0.2))
    expect([...signs]).toEqual([1, -1, 1])
    expect(scale).toBeCloseTo(0.9, 12)
  })

  it('gives a row of zeros the scale 0', () => {
    expect(binaryRow(Float64Array.of(2, 1, 1, 2), 2, new Float64Array(2)).scale).toBe(0)
  })

  it('turns signs around that point the wrong way', () => {
    const { signs, scale } = binaryRow(Float64Array.of(1, 0, 0, 1), 2, Float64Array.of(1, 1), Float64Array.of(-1, -1))
    expect([...signs, scale]).toEqual([1, 1, 1])
  })

  it('is no worse than the signs of the weights, has the best scale, and no single flip makes it better', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 12 }), (seed, size) => {
        const { hessian, row } = example(seed, size)
        const { signs, scale } = binaryRow(hessian, size, row)
        expect([...signs].every((sign) => Math.abs(sign) === 1) && scale >= 0).toBe(true)
        expect(scale).toBeCloseTo(bestScale(hessian, row, signs), 9)
        const error = errorOf(hessian, row, signs, scale)
        const plain = signsOf(row)
        expect(error).toBeLessThanOrEqual(errorOf(hessian, row, plain, bestScale(hessian, row, plain)) + 1e-9)
        for (let j = 0; j < size; j++) {
          const other = signs.with(j, -signs[j])
          expect(errorOf(hessian, row, other, scale)).toBeGreaterThanOrEqual(error - 1e-9)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('comes near the best of all patterns', () => {
    let [found, best] = [0, 0]
    for (let seed = 1; seed <= 40; seed++) {
      const size = 8
      const { hessian, row } = example(seed, size)
      const { signs, scale } = binaryRow(hessian, size, row)
      const errors = Array.from({ length: 2 ** size }, (_, number) => {
        const pattern = Float64Array.from({ length: size }, (__, j) => ((number >> j) & 1 ? 1 : -1))
        return errorOf(hessian, row, pattern, bestScale(hessian, row, pattern))
      })
      const own = errorOf(hessian, row, signs, scale)
      expect(own).toBeGreaterThanOrEqual(Math.min(...errors) - 1e-9)
      found += own
      best += Math.min(...errors)
    }
    expect(found).toBeLessThan(1.5 * best)
  })
})
