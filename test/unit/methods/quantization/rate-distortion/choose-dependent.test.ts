import { describe, expect, it } from 'vitest'
import { dependentNumber, nextState, quantizerOf, toDependent } from '../../../../../src/codecs/dependent.ts'
import {
  chooseDependent,
  type DependentChoice,
} from '../../../../../src/methods/quantization/rate-distortion/choose-dependent.ts'
import { chooseCodes } from '../../../../../src/methods/quantization/rate-distortion/choose-codes.ts'
import { feedbackMetric, plainMetric } from '../../../../../src/methods/quantization/rate-distortion/error-metric.ts'
import { uniformGrid } from '../../../../../src/methods/quantization/rate-distortion/grid.ts'
import { learnRate } from '../../../../../src/codecs/rate.ts'
import { anyRows } from '../../../../../src/methods/weight-rows.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'

function choiceOf(values: readonly number[], rows: number, changes: Partial<DependentChoice> = {}): DependentChoice {
  const weights = Float32Array.from(values)
  const shape = [rows, weights.length / rows]
  return {
    weights,
    rows: anyRows(shape),
    shape,
    metric: plainMetric(1, shape[1]),
    step: () => 0.5,
    gain: new Float64Array(rows).fill(1),
    lambda: 0,
    codes: new Int16Array(weights.length),
    passes: 2,
    largest: 32767,
    ...changes,
  }
}

/** The least squared error of all numbers that the machine allows. */
function leastError(values: readonly number[], step: number, state = 0): number {
  if (values.length === 0) return 0
  let least = Infinity
  for (let code = -5; code <= 5; code++) {
    const error = (dependentNumber(quantizerOf(state), code) * step - Math.fround(values[0])) ** 2
    if (error < least) least = Math.min(least, error + leastError(values.slice(1), step, nextState(state, code)))
  }
  return least
}

describe('codes for a trellis', () => {
  it('are the best of all at λ = 0', () => {
    const random = createRandom(3)
    for (let trial = 0; trial < 20; trial++) {
      const values = Array.from({ length: 5 }, () => 1.2 * random.normal())
      const choice = choiceOf(values, 1)
      const { distortion } = chooseDependent(choice)
      expect(distortion).toBeCloseTo(leastError(values, 0.5), 6)
    }
  })

  it('obey the machine, and cost no more bits at a larger λ', () => {
    const random = createRandom(5)
    const values = Array.from({ length: 800 }, () => 3 * random.normal())
    let before = { bits: Infinity, distortion: -1 }
    for (const lambda of [0, 0.01, 0.04, 0.16, 0.64, 2.5]) {
      // In one row and one pass all have the same rates.
      const choice = choiceOf(values, 1, { lambda, passes: 1 })
      const result = chooseDependent(choice)
      expect(toDependent(Int32Array.from(choice.codes))).toBeDefined()
      const noise = choice.codes.reduce((sum, code, i) => sum + (0.5 * code - choice.weights[i]) ** 2, 0)
      expect(result.distortion).toBeCloseTo(noise, 6)
      expect(result.bits).toBeLessThan(before.bits)
      expect(result.distortion).toBeGreaterThan(before.distortion)
      before = result
    }
  })

  it('make less noise in as many bits as codes that are chosen one by one, with error feedback too', () => {
    const random = createRandom(7)
    const [rows, length] = [64, 32]
    const values = Array.from({ length: rows * length }, () => random.normal())
    const gram = new Float64Array(length * length)
    for (let s = 0; s < 100; s++) {
      const x = Array.from({ length }, () => random.normal())
      for (let i = 1; i < length; i++) x[i] += 0.7 * x[i - 1]
      for (let i = 0; i < length; i++) for (let j = 0; j < length; j++) gram[i * length + j] += (x[i] * x[j]) / 100
    }
    const moments = { groups: 1, length, gram, mean: new Float64Array(length) }
    for (const metric of [plainMetric(1, length), feedbackMetric(moments, false, 0.01)]) {
      const lambda = 0.02
      const choice = choiceOf(values, rows, { metric, lambda, step: () => 0.5 * 0.57 })
      const fine = chooseDependent(choice)
      const codes = Int16Array.from(values, (value) => Math.round(value / 0.5))
      let coarse = { bits: 0, distortion: 0 }
      for (let pass = 0; pass < 2; pass++)
        coarse = chooseCodes({ ...choice, codes, grid: () => uniformGrid(0.5), rate: learnRate(codes, choice.shape) })
      expect(fine.distortion + lambda * fine.bits).toBeLessThan(coarse.distortion + lambda * coarse.bits)
    }
  })
})
