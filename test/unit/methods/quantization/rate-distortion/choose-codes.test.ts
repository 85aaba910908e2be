import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RateModel } from '../../../../../src/codecs/rate.ts'
import type { InputMoments } from '../../../../../src/methods/calibration.ts'
import { chooseCodes, type CodeChoice } from '../../../../../src/methods/quantization/rate-distortion/choose-codes.ts'
import {
  diagonalMetric,
  feedbackMetric,
  plainMetric,
} from '../../../../../src/methods/quantization/rate-distortion/error-metric.ts'
import { uniformGrid } from '../../../../../src/methods/quantization/rate-distortion/grid.ts'
import { anyRows } from '../../../../../src/methods/weight-rows.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'

/** Prices that depend on the code alone. */
const priced = (bits: (code: number) => number): RateModel => ({ context: () => 0, bits: (_, code) => bits(code) })
const gamma = priced((code) => 1 + 2 * Math.log2(1 + Math.abs(code)))
const bumpy = priced((code) => 1 + ((code * 37 + 1000) % 7) + 0.3 * Math.abs(code))

function choiceOf(values: readonly number[], changes: Partial<CodeChoice> = {}): CodeChoice {
  const weights = Float32Array.from(values)
  return {
    weights,
    rows: anyRows([1, weights.length]),
    metric: plainMetric(1, weights.length),
    grid: () => uniformGrid(1),
    gain: Float64Array.of(1),
    lambda: 0,
    rate: gamma,
    codes: new Int16Array(weights.length),
    ...changes,
  }
}

/** Moments of `length` correlated inputs, from `samples` random ones. */
function randomMoments(length: number, samples: number, seed = 5): InputMoments {
  const random = createRandom(seed)
  const gram = new Float64Array(length * length)
  const mean = new Float64Array(length)
  for (let s = 0; s < samples; s++) {
    const common = random.normal()
    const x = Float64Array.from({ length }, () => 0.3 + common + 0.5 * random.normal())
    for (let i = 0; i < length; i++) {
      mean[i] += x[i] / samples
      for (let j = 0; j < length; j++) gram[i * length + j] += (x[i] * x[j]) / samples
    }
  }
  return { groups: 1, length, gram, mean }
}

/** Δᵀ A Δ. */
function errorOf({ length, gram }: InputMoments, deltas: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < length; i++) for (let j = 0; j < length; j++) sum += deltas[i] * deltas[j] * gram[i * length + j]
  return sum
}

function allCodes(length: number, largest: number): number[][] {
  if (length === 0) return [[]]
  const rest = allCodes(length - 1, largest)
  return Array.from({ length: 2 * largest + 1 }, (_, i) => i - largest).flatMap((code) => rest.map((r) => [code, ...r]))
}

describe('codes for distortion and rate', () => {
  it.each([
    ['gamma', gamma],
    ['bumpy', bumpy],
  ])('are the best of all codes where prices are %s', (_, rate) => {
    const values = [2.4, -0.6, 3.7, 0.2]
    for (const lambda of [0.01, 0.1, 0.5, 2, 20]) {
      const choice = choiceOf(values, { rate, lambda })
      const { distortion, bits } = chooseCodes(choice)
      const costOf = (codes: readonly number[]) =>
        codes.reduce((sum, code, i) => sum + (code - choice.weights[i]) ** 2 + lambda * rate.bits(0, code), 0)
      const least = Math.min(...allCodes(4, 5).map(costOf))
      expect(costOf([...choice.codes])).toBeCloseTo(least, 9)
      expect(distortion + lambda * bits).toBeCloseTo(least, 9)
    }
  })

  it('are the nearest at λ = 0', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 9 }), (values) => {
        const choice = choiceOf(values, { rate: bumpy, grid: () => uniformGrid(0.5) })
        chooseCodes(choice)
        choice.codes.forEach((code, i) => expect(code).toBe(Math.round(choice.weights[i] / 0.5) || 0))
      }),
    )
  })

  it('take no more bits and make no less distortion at a larger λ', () => {
    const random = createRandom(9)
    const values = Array.from({ length: 60 }, () => 4 * random.normal())
    let before = { distortion: -1, bits: Infinity }
    for (const lambda of [0, 0.01, 0.05, 0.2, 0.5, 1, 3, 10, 100]) {
      const result = chooseCodes(choiceOf(values, { lambda }))
      expect(result.bits).toBeLessThanOrEqual(before.bits + 1e-9)
      expect(result.distortion).toBeGreaterThanOrEqual(before.distortion - 1e-9)
      before = result
    }
  })

  it('weigh errors by the inputs: what meets none costs nothing and becomes the cheapest code', () => {
    const moments: InputMoments = {
      groups: 1,
      length: 2,
      mean: new Float64Array(2),
      gram: Float64Array.of(4, 0, 0, 0),
    }
    const choice = choiceOf([3.1, 3.1], { metric: diagonalMetric(moments, 1e-9), lambda: 0.5 })
    const { distortion } = chooseCodes(choice)
    expect([...choice.codes]).toEqual([3, 0])
    expect(distortion).toBeCloseTo(4 * 0.1 ** 2, 5)
  })
})

describe('error feedback', () => {
  it('adds up to the error of the outputs', () => {
    const moments = randomMoments(6, 40)
    const choice = choiceOf([0.4, -1.3, 2.2, 0.7, -0.2, 1.6], { metric: feedbackMetric(moments, false, 1e-12) })
    const { distortion } = chooseCodes(choice)
    const deltas = Float64Array.from(choice.codes, (code, i) => code - choice.weights[i])
    expect(distortion).toBeCloseTo(errorOf(moments, deltas), 6)
  })

  it('makes less error than nearest codes, and bias codes take up what is left', () => {
    const random = createRandom(2)
    const moments = randomMoments(12, 60)
    let [nearest, fed, withBias] = [0, 0, 0]
    for (let trial = 0; trial < 40; trial++) {
      const values = Array.from({ length: 12 }, () => 3 * random.normal())
      const plain = choiceOf(values)
      chooseCodes(plain)
      nearest += errorOf(
        moments,
        Float64Array.from(plain.codes, (code, i) => code - plain.weights[i]),
      )
      fed += chooseCodes(choiceOf(values, { metric: feedbackMetric(moments, false, 1e-6) })).distortion
      const bias = { values: Float32Array.of(1.5), step: 0.01, codes: new Int16Array(1), bits: () => 0 }
      const metric = feedbackMetric(moments, true, 1e-6)
      withBias += chooseCodes(choiceOf(values, { metric, bias })).distortion
    }
    expect(fed).toBeLessThan(0.5 * nearest)
    expect(withBias).toBeLessThan(fed)
  })

  it('moves the bias by the mean of what the weights lost', () => {
    const moments: InputMoments = {
      groups: 1,
      length: 1,
      mean: Float64Array.of(2),
      gram: Float64Array.of(4),
    }
    const bias = { values: Float32Array.of(1), step: 0.25, codes: new Int16Array(1), bits: () => 0 }
    const choice = choiceOf([1.25], { metric: feedbackMetric(moments, true, 1e-9), bias })
    chooseCodes(choice)
    expect(choice.codes[0]).toBe(1)
    expect(bias.codes[0] * bias.step).toBe(1.5)
  })
})
