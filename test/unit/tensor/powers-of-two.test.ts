import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { floorLog2, nearestPower, nearestPowerOfTwo, roundLog2 } from '../../../src/tensor/powers-of-two.ts'

describe('powers of two', () => {
  it('are found exactly', () => {
    for (const exponent of [-140, -30, -1, 0, 1, 20])
      for (const factor of [1, 1.2, 1.4, 1.42, 1.49, 1.5, 1.9]) {
        const value = factor * 2 ** exponent
        expect(floorLog2(value)).toBe(exponent)
        expect(roundLog2(-value)).toBe(Math.round(Math.log2(value)) + 0)
        expect(nearestPower(-value, -200, 200)).toBe(factor < 1.5 ? exponent : exponent + 1)
      }
    expect(nearestPower(0, -3, 3)).toBeUndefined()
    expect(nearestPower(0.0624, -3, 3)).toBeUndefined()
    expect(nearestPower(0.0625, -3, 3)).toBe(-3)
    expect(nearestPower(100, -3, 3)).toBe(3)
  })
})

describe('AP2', () => {
  it('is the power of two that is nearest in the logarithm, with the sign', () => {
    expect([0, 1, -1, 1.4, 1.5, 3, -0.1, 0.36, 0.35].map(nearestPowerOfTwo)).toEqual([
      0, 1, -1, 1, 2, 4, -0.125, 0.5, 0.25,
    ])
    // As in float32 arithmetic without denormals.
    expect(nearestPowerOfTwo(-1e-40)).toBe(-(2 ** -126))
    fc.assert(
      fc.property(fc.double({ min: 1e-30, max: 1e30, noNaN: true }), (x) => {
        const power = nearestPowerOfTwo(x)
        expect(Number.isInteger(Math.log2(power))).toBe(true)
        expect(Math.abs(Math.log2(x / power))).toBeLessThanOrEqual(0.5 + 1e-9)
        expect(nearestPowerOfTwo(-x)).toBe(-power)
      }),
    )
  })
})
