import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  floorLog2,
  nearestAmongPowers,
  nearestPowerOfTwo,
  roundLog2,
  roundSignificant,
} from '../../../src/tensor/powers-of-two.ts'

describe('powers of two', () => {
  it('are found exactly', () => {
    for (const exponent of [-140, -30, -1, 0, 1, 20])
      for (const factor of [1, 1.2, 1.4, 1.42, 1.49, 1.5, 1.9]) {
        const value = factor * 2 ** exponent
        expect(floorLog2(value)).toBe(exponent)
        expect(roundLog2(-value)).toBe(Math.round(Math.log2(value)) + 0)
        expect(nearestAmongPowers(-value, -200, 200)).toBe(-(2 ** (factor < 1.5 ? exponent : exponent + 1)))
      }
    expect(nearestAmongPowers(0, -3, 3)).toBe(0)
    expect(nearestAmongPowers(0.0624, -3, 3)).toBe(0)
    expect(nearestAmongPowers(0.0625, -3, 3)).toBe(0.125)
    expect(nearestAmongPowers(-100, -3, 3)).toBe(-8)
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

describe('rounding to significant digits', () => {
  it('keeps so many binary digits', () => {
    expect(roundSignificant(0b101101, 4)).toBe(0b101100)
    expect(roundSignificant(0b101111, 4)).toBe(0b110000)
    expect([0, 1, 0.1, 15, 31].map((value) => roundSignificant(value, 4))).toEqual([0, 1, 13 / 128, 15, 32])
    fc.assert(
      fc.property(
        fc.double({ min: 1e-30, max: 1e30, noNaN: true }),
        fc.integer({ min: 1, max: 20 }),
        (value, digits) => {
          const rounded = roundSignificant(value, digits)
          expect(Math.abs(rounded - value)).toBeLessThanOrEqual(value * 2 ** -digits)
          expect(roundSignificant(rounded, digits)).toBe(rounded)
        },
      ),
    )
  })
})
