import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { admmQuantization } from '../../../../../src/methods/quantization/weights/admm-quantization.ts'
import { binaryWeightNetworks } from '../../../../../src/methods/quantization/weights/binary-weight-networks.ts'
import { dorefaWeights } from '../../../../../src/methods/quantization/weights/dorefa-weights.ts'
import type { QuantizedWeights } from '../../../../../src/methods/quantization/weights/family/family.ts'
import { incrementalNetworkQuantization } from '../../../../../src/methods/quantization/weights/incremental-network-quantization.ts'
import { quantizedNeuralNetworks } from '../../../../../src/methods/quantization/weights/quantized-neural-networks.ts'
import { shiftCnn } from '../../../../../src/methods/quantization/weights/shift-cnn.ts'
import { ternaryWeightNetworks } from '../../../../../src/methods/quantization/weights/ternary-weight-networks.ts'
import { uniform } from '../../../../../src/methods/quantization/weights/uniform.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'

function values(found: QuantizedWeights): number[] {
  if ('levels' in found) return Array.from(found.codes, (code) => found.levels[code])
  const { codes, scale, zeroPoint = 0 } = found
  return Array.from(codes, (code) => (code - zeroPoint) * scale)
}

function squaredError(weights: Float32Array, found: QuantizedWeights): number {
  return values(found).reduce((sum, value, i) => sum + (value - weights[i]) ** 2, 0)
}

function gaussian(count: number, seed = 1): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: count }, () => random.normal())
}

const energy = (weights: Float32Array) => weights.reduce((sum, weight) => sum + weight * weight, 0)

/** The least squared error of α · q with q from `alphabet`, by trying all codes; α = w·q / q·q. */
function leastError(weights: Float32Array, alphabet: readonly number[]): number {
  let best = Infinity
  const q = Array.from(weights, () => 0)
  const visit = (i: number): void => {
    if (i < weights.length) {
      for (const code of alphabet) {
        q[i] = code
        visit(i + 1)
      }
      return
    }
    const product = q.reduce((sum, code, k) => sum + code * weights[k], 0)
    const squares = q.reduce((sum, code) => sum + code * code, 0)
    if (squares > 0) best = Math.min(best, energy(weights) - (product * product) / squares)
  }
  visit(0)
  return best
}

const fewWeights = (most: number) =>
  fc
    .array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: 1, maxLength: most })
    .map((list) => Float32Array.from(list))
    .filter((list) => list.some((value) => Math.abs(value) > 1e-3))

describe('binary weight networks', () => {
  it('keeps signs and the mean absolute weight', () => {
    const found = binaryWeightNetworks.quantize(Float32Array.of(1, -2, 0, -5), {})
    expect(found).toEqual({ codes: Int16Array.of(1, -1, 1, -1), scale: 2 })
  })

  it('has the least error of all signs and scales', () => {
    fc.assert(
      fc.property(fewWeights(8), (weights) => {
        const error = squaredError(weights, binaryWeightNetworks.quantize(weights, {}))
        expect(error).toBeLessThanOrEqual(leastError(weights, [-1, 1]) + 1e-6 * energy(weights))
      }),
      { numRuns: 25 },
    )
  })

  it('leaves 1 - 2/π of the energy of Gaussian weights', () => {
    const weights = gaussian(200_000)
    const error = squaredError(weights, binaryWeightNetworks.quantize(weights, {}))
    expect(error / energy(weights)).toBeCloseTo(1 - 2 / Math.PI, 2)
  })
})

describe('ternary weight networks', () => {
  it('puts the threshold at 0.7 of the mean absolute weight', () => {
    // E|w| = 2, so Δ = 1.4.
    const found = ternaryWeightNetworks.quantize(Float32Array.of(1, -1.5, 0.5, 5), { threshold: 'approximate' })
    expect(found).toEqual({ codes: Int16Array.of(0, -1, 0, 1), scale: 3.25 })
  })

  it('finds the threshold with the least error of all ternary codes and scales', () => {
    fc.assert(
      fc.property(fewWeights(7), (weights) => {
        const error = squaredError(weights, ternaryWeightNetworks.quantize(weights, { threshold: 'exact' }))
        expect(error).toBeLessThanOrEqual(leastError(weights, [-1, 0, 1]) + 1e-6 * energy(weights))
      }),
      { numRuns: 25 },
    )
  })

  it('finds 0.612 σ for Gaussian weights, where 0.190 of the energy is lost', () => {
    const weights = gaussian(200_000, 2)
    const found = ternaryWeightNetworks.quantize(weights, { threshold: 'exact' })
    const kept = weights.filter((_, i) => found.codes[i] !== 0).map(Math.abs)
    expect(kept.reduce((least, size) => Math.min(least, size))).toBeCloseTo(0.612, 1)
    expect(squaredError(weights, found) / energy(weights)).toBeCloseTo(0.19, 2)
    const approximate = squaredError(weights, ternaryWeightNetworks.quantize(weights, { threshold: 'approximate' }))
    expect(approximate).toBeGreaterThan(squaredError(weights, found))
    expect(approximate / energy(weights)).toBeCloseTo(0.19, 1)
  })
})

describe('DoReFa weights', () => {
  it.each([2, 3, 8])('are those of the formula with %i bits', (bits) => {
    const weights = gaussian(50, bits)
    const levels = 2 ** bits - 1
    const top = Math.max(...weights.map((w) => Math.abs(Math.tanh(w))))
    const expected = Array.from(
      weights,
      (w) => (2 * Math.round((Math.tanh(w) / (2 * top) + 0.5) * levels)) / levels - 1,
    )
    const found = values(dorefaWeights.quantize(weights, { bits, rescale: false }))
    for (const [i, value] of found.entries()) expect(value).toBeCloseTo(expected[i], 6)
    expect(new Set(found).size).toBeLessThanOrEqual(2 ** bits)
    expect(found).not.toContain(0)
  })

  it('are signs of the mean size with one bit', () => {
    const found = dorefaWeights.quantize(Float32Array.of(0.5, -1.5), { bits: 1, rescale: true })
    expect(values(found)).toEqual([1, -1])
  })

  it('have the best scale for their codes', () => {
    const weights = gaussian(100, 4).map((value) => value * 0.05)
    const found = dorefaWeights.quantize(weights, { bits: 3, rescale: true })
    if (!('scale' in found)) throw new Error('scale')
    const error = squaredError(weights, found)
    for (const factor of [0.99, 1.01])
      expect(squaredError(weights, { ...found, scale: found.scale * factor })).toBeGreaterThan(error)
    expect(error / energy(weights)).toBeLessThan(0.1)
  })
})

describe('uniform quantization', () => {
  it('rounds over the range that there is', () => {
    const found = uniform.quantize(Float32Array.of(-7, 3.4, 0.6, 2), { bits: 4, symmetric: true, range: 'min-max' })
    expect(found).toEqual({ codes: Int16Array.of(-7, 3, 1, 2), scale: 1 })
    const shifted = uniform.quantize(Float32Array.of(-1, 14, 0.6, 2), { bits: 4, symmetric: false, range: 'min-max' })
    expect(shifted).toEqual({ codes: Int16Array.of(0, 15, 2, 3), scale: 1, zeroPoint: 1 })
  })

  it('is off by half a step at most where nothing is clipped, and keeps zero', () => {
    fc.assert(
      fc.property(fewWeights(30), fc.integer({ min: 2, max: 8 }), fc.boolean(), (weights, bits, symmetric) => {
        const withZero = Float32Array.of(...weights, 0)
        const found = uniform.quantize(withZero, { bits, symmetric, range: 'min-max' })
        if (!('scale' in found)) throw new Error('scale')
        const result = values(found)
        // The zero point is rounded too: an end may be off by half a step more.
        const most = (symmetric ? 0.5 : 1) * found.scale * 1.0001
        for (const [i, value] of result.entries()) expect(Math.abs(value - withZero[i])).toBeLessThanOrEqual(most)
        expect(result.at(-1)! + 0).toBe(0)
        const [low, high] = symmetric ? [1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1]
        expect(found.codes.every((code) => code >= low && code <= high)).toBe(true)
      }),
    )
  })

  it.each([
    [2, true],
    [3, true],
    [4, true],
    [8, true],
    [3, false],
    [4, false],
  ])('clips where that is best: %i bits, symmetric %s', (bits, symmetric) => {
    const weights = gaussian(500, bits)
    const clipped = squaredError(weights, uniform.quantize(weights, { bits, symmetric, range: 'mse' }))
    const whole = squaredError(weights, uniform.quantize(weights, { bits, symmetric, range: 'min-max' }))
    expect(clipped).toBeLessThan(whole)
    if (!symmetric) return
    const most = 2 ** (bits - 1) - 1
    const top = Math.max(...weights.map(Math.abs))
    let best = Infinity
    for (let step = 1; step <= 2000; step++) {
      const scale = (step * top) / most / 2000
      const round = (w: number) => Math.max(-most, Math.min(most, Math.round(w / scale))) * scale
      best = Math.min(
        best,
        weights.reduce((sum, w) => sum + (round(w) - w) ** 2, 0),
      )
    }
    expect(clipped).toBeLessThan(1.02 * best)
  })
})

describe('quantized neural networks', () => {
  it('has fixed-point numbers of two’s complement', () => {
    const found = quantizedNeuralNetworks.quantize(Float32Array.of(0.9, -1.5, 0.1, 0.3), { bits: 4, scheme: 'linear' })
    // The range is 2, a step a quarter.
    expect(values(found)).toEqual([1, -1.5, 0, 0.25])
    const ends = quantizedNeuralNetworks.quantize(Float32Array.of(1, -1), { bits: 3, scheme: 'linear' })
    expect(values(ends)).toEqual([0.75, -1])
  })

  it('has signed powers of two that are nearest in the logarithm', () => {
    // Three powers a sign: 1, 1/2, 1/4; sqrt(2) / 2 = 0.7071 parts the two largest.
    const weights = Float32Array.of(1.1, -0.7, 0.72, 0.2, 0.13, -0.12, 0)
    const found = quantizedNeuralNetworks.quantize(weights, { bits: 3, scheme: 'logarithmic' })
    expect(values(found).map((value) => value + 0)).toEqual([1, -0.5, 1, 0.25, 0.25, 0, 0])
  })

  it.each([2, 4, 5, 6, 8])('says with a codebook what it says with codes: %i bits', (bits) => {
    const weights = gaussian(300, 3).map((value) => value ** 5)
    const found = quantizedNeuralNetworks.quantize(weights, { bits, scheme: 'logarithmic' })
    expect('levels' in found).toBe(bits > 5)
    const result = values(found)
    expect(new Set(result.map((value) => value + 0)).size).toBeLessThanOrEqual(2 ** bits - 1)
    const top = Math.round(Math.log2(Math.max(...weights.map(Math.abs))))
    const least = 2 ** (top - 2 ** (bits - 1) + 2)
    for (const [i, w] of weights.entries()) {
      const power = 2 ** Math.round(Math.log2(Math.abs(w)))
      const size = Math.abs(w) < least / 2 ? 0 : Math.max(least, power)
      expect(result[i] + 0).toBe(Math.sign(w) * size + 0)
    }
  })
})

describe('ShiftCNN', () => {
  const codebook = (n: number, bits: number) => {
    const half = Math.floor((2 ** bits - 1) / 2)
    const powers = Array.from({ length: half }, (_, i) => 2 ** (-n + 1 - i))
    expect(powers.at(-1)).toBe(2 ** (-n - half + 2))
    return [0, ...powers, ...powers.map((power) => -power)]
  }

  it('has the codebooks of the paper', () => {
    expect(codebook(1, 4)).toHaveLength(15)
    const found = shiftCnn.quantize(Float32Array.of(1, 0.7, -0.3, 0.005, 0.003), { codebooks: 2, bits: 4 })
    expect(values(found)).toEqual([1, 0.75, -0.3125, 0.0078125, 0])
  })

  it.each([
    [1, 4],
    [2, 4],
    [3, 3],
    [4, 2],
  ])('takes greedily the nearest of each of %i codebooks of %i bits', (codebooks, bits) => {
    const weights = gaussian(200, codebooks)
    const top = Math.max(...weights.map(Math.abs))
    const result = values(shiftCnn.quantize(weights, { codebooks, bits }))
    for (const [i, weight] of weights.entries()) {
      let rest = weight / top
      for (let n = 1; n <= codebooks; n++)
        rest -= codebook(n, bits).reduce((best, value) =>
          Math.abs(rest - value) < Math.abs(rest - best) ? value : best,
        )
      expect(result[i]).toBeCloseTo(weight - rest * top, 5)
    }
  })

  it('loses less with more codebooks', () => {
    const weights = gaussian(2000, 5)
    const errors = [1, 2, 3].map((codebooks) =>
      squaredError(weights, shiftCnn.quantize(weights, { codebooks, bits: 4 })),
    )
    expect(errors[1]).toBeLessThan(errors[0] / 10)
    expect(errors[2]).toBeLessThan(errors[1])
  })
})

const byLargest = { partition: 'magnitude', exponents: 'largest' } as const

describe('incremental network quantization', () => {
  it.each([2, 3, 4, 5])('rounds by the rule of the paper: %i bits', (bits) => {
    for (const factor of [0.01, 1, 1.5, 40]) {
      const weights = gaussian(300, 6).map((value) => value * factor)
      const top = Math.max(...weights.map(Math.abs))
      const n1 = Math.floor(Math.log2((4 * top) / 3))
      const n2 = n1 + 1 - 2 ** (bits - 1) / 2
      const levels = [0, ...Array.from({ length: n1 - n2 + 1 }, (_, i) => 2 ** (n2 + i))]
      const result = values(incrementalNetworkQuantization.quantize(weights, { bits, ...byLargest }))
      for (const [i, weight] of weights.entries()) {
        const size = Math.abs(weight)
        const at = levels.findIndex((level, l) => l > 0 && (levels[l - 1] + level) / 2 <= size && size < 1.5 * level)
        expect(result[i] + 0).toBe(Math.sign(weight) * (at < 0 ? 0 : levels[at]) + 0)
      }
      expect(Math.abs(n1 - Math.log2(top))).toBeLessThan(1)
    }
  })

  it('has 2^(b-1) + 1 values: with the sign and zero they take b bits', () => {
    const result = values(incrementalNetworkQuantization.quantize(gaussian(100_000, 7), { bits: 5, ...byLargest }))
    expect(new Set(result.map((value) => value + 0)).size).toBe(17)
  })
})

/** Options that the projection does not look at. */
const pull = { rho: 1, growth: 1, dual: 'rescaled', iterations: 1 } as const

describe('projection of ADMM', () => {
  it.each([
    [1, [-1, 0, 1]],
    [2, [-2, -1, 0, 1, 2]],
    [3, [-4, -2, -1, 0, 1, 2, 4]],
  ])('is the best or close to it: %i powers', (powers, alphabet) => {
    let exact = 0
    for (let seed = 0; seed < 20; seed++) {
      const weights = gaussian(5, 100 + seed)
      const error = squaredError(weights, admmQuantization.quantize(weights, { powers, ...pull }))
      const least = leastError(weights, alphabet)
      expect(error).toBeGreaterThan(least - 1e-6)
      expect(error - least).toBeLessThan(0.05 * energy(weights))
      if (error < least + 1e-6) exact++
    }
    expect(exact).toBeGreaterThanOrEqual(18)
  })

  it('ends where codes and scale are the best for each other', () => {
    const weights = gaussian(1000, 8)
    const found = admmQuantization.quantize(weights, { powers: 3, ...pull })
    if (!('scale' in found)) throw new Error('scale')
    const product = weights.reduce((sum, weight, i) => sum + weight * found.codes[i], 0)
    const squares = found.codes.reduce((sum, code) => sum + code * code, 0)
    expect(found.scale).toBeCloseTo(product / squares, 9)
    for (const [i, weight] of weights.entries())
      for (const other of [-4, -2, -1, 0, 1, 2, 4])
        expect(Math.abs(weight - found.codes[i] * found.scale)).toBeLessThanOrEqual(
          Math.abs(weight - other * found.scale) + 1e-9,
        )
  })

  it('finds for ternary codes what sorting finds', () => {
    const weights = gaussian(100_000, 9)
    const sorted = squaredError(weights, ternaryWeightNetworks.quantize(weights, { threshold: 'exact' }))
    expect(squaredError(weights, admmQuantization.quantize(weights, { powers: 1, ...pull })) / sorted).toBeCloseTo(1, 3)
  })
})

/** Every method with its default options, and whether its scale can be any number. */
const everyMethod = [
  [binaryWeightNetworks.name, (w: Float32Array) => binaryWeightNetworks.quantize(w, {}), 1e-6],
  [
    ternaryWeightNetworks.name,
    (w: Float32Array) => ternaryWeightNetworks.quantize(w, { threshold: 'approximate' }),
    1e-6,
  ],
  [dorefaWeights.name, (w: Float32Array) => dorefaWeights.quantize(w, { bits: 4, rescale: true }), 1e-6],
  [uniform.name, (w: Float32Array) => uniform.quantize(w, { bits: 4, symmetric: true, range: 'mse' }), 1e-6],
  [admmQuantization.name, (w: Float32Array) => admmQuantization.quantize(w, { powers: 3, ...pull }), 1e-6],
  [shiftCnn.name, (w: Float32Array) => shiftCnn.quantize(w, { codebooks: 2, bits: 4 }), 1e-6],
  [
    quantizedNeuralNetworks.name,
    (w: Float32Array) => quantizedNeuralNetworks.quantize(w, { bits: 4, scheme: 'linear' }),
    0.125,
  ],
  [
    incrementalNetworkQuantization.name,
    (w: Float32Array) => incrementalNetworkQuantization.quantize(w, { bits: 5, ...byLargest }),
    1 / 3,
  ],
] as const

describe.each(everyMethod)('%s', (_, quantize, tolerance) => {
  it('says weights that are all the same, to the grid that it has', () => {
    for (const constant of [0.3, -0.3, 1e-6, -1000]) {
      const result = values(quantize(new Float32Array(9).fill(constant)))
      for (const value of result) expect(Math.abs(value / constant - 1)).toBeLessThanOrEqual(tolerance)
    }
  })

  it('is odd, or nearly: no sign is lost, and the input stays as it was', () => {
    const weights = gaussian(64, 10)
    const before = weights.slice()
    const result = values(quantize(weights))
    expect(weights).toEqual(before)
    for (const [i, value] of result.entries()) expect(value * weights[i]).toBeGreaterThanOrEqual(0)
    expect(result.every(Number.isFinite)).toBe(true)
  })

  it('depends on the size of weights only by a power of two', () => {
    if (_ === dorefaWeights.name) return
    const weights = gaussian(64, 11)
    const small = values(quantize(weights.map((weight) => weight / 1024)))
    expect(small.map((value) => value * 1024)).toEqual(values(quantize(weights)))
  })
})
