import { describe, expect, it } from 'vitest'
import {
  halfWaveLevels,
  type HalfWaveLevels,
} from '../../../../../src/methods/quantization/activations/gaussian-levels.ts'

const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)

/** E[(Q(x) - max(x, 0))²] by the midpoint rule on (0, 9), where Q counts the thresholds below x. */
function integrated({ thresholds, levels }: Pick<HalfWaveLevels, 'thresholds' | 'levels'>, steps = 90_000): number {
  const width = 9 / steps
  let sum = 0
  let code = 0
  for (let i = 0; i < steps; i++) {
    const x = (i + 0.5) * width
    while (code < thresholds.length && thresholds[code] < x) code++
    sum += (levels[code] - x) ** 2 * density(x) * width
  }
  return sum
}

/** The uniform quantizer of a step, written down from the paper's definition. */
function uniform(step: number, count: number) {
  return {
    thresholds: Float64Array.from({ length: count }, (_, i) => (i === 0 ? 0 : (i + 0.5) * step)),
    levels: Float64Array.from({ length: count + 1 }, (_, i) => i * step),
  }
}

describe('levels for the positive half of a Gaussian', () => {
  it('is the mean of the half where there is one', () => {
    for (const spacing of ['uniform', 'optimal'] as const) {
      const { thresholds, levels, error } = halfWaveLevels(1, spacing)
      expect([...thresholds]).toEqual([0])
      expect(levels[0]).toBe(0)
      expect(levels[1]).toBeCloseTo(Math.sqrt(2 / Math.PI), 9)
      expect(error).toBeCloseTo(1 / 2 - 1 / Math.PI, 9)
    }
  })

  it('has the steps of the paper', () => {
    const step = (bits: number) => halfWaveLevels(2 ** bits - 1, 'uniform').levels[1]
    expect(Math.abs(step(2) - 0.5388)).toBeLessThan(0.0005)
    expect(step(3)).toBeCloseTo(0.322, 3)
    expect(step(4)).toBeCloseTo(0.184, 3)
    expect(halfWaveLevels(3, 'uniform').error).toBeCloseTo(0.0432, 4)
  })

  it('has the levels of Lloyd for 2 bits', () => {
    const { levels, error } = halfWaveLevels(3, 'optimal')
    expect([...levels].map((level) => level.toFixed(4))).toEqual(['0.0000', '0.3177', '1.0001', '1.8936'])
    expect(error).toBeCloseTo(0.029, 4)
  })

  it('has the levels of the networks that the authors published', () => {
    const digits = (count: number, spacing: 'uniform' | 'optimal') =>
      [...halfWaveLevels(count, spacing).levels].slice(1).map((level) => Number(level.toFixed(3)))
    // alex-hwgq-2n: 0.453 and 1.51; all others: multiples of 0.538, which was found on a sample.
    expect(digits(2, 'optimal')).toEqual([0.453, 1.51])
    for (const [i, level] of digits(3, 'uniform').entries()) expect(level / (0.538 * (i + 1))).toBeCloseTo(1, 2)
  })

  it.each([1, 2, 3, 4, 7, 15, 63, 255])('tells the error that integration finds: %i levels', (count) => {
    for (const spacing of ['uniform', 'optimal'] as const) {
      const found = halfWaveLevels(count, spacing)
      expect(found.levels).toHaveLength(count + 1)
      expect(found.error / integrated(found) - 1).toBeCloseTo(0, count > 100 ? 2 : 4)
    }
  })

  it.each([2, 3, 7, 31])('takes the best of all steps: %i levels', (count) => {
    const { levels, error } = halfWaveLevels(count, 'uniform')
    let best = { step: 0, error: Number.POSITIVE_INFINITY }
    for (let step = 0.002; step < 1; step += 0.002) {
      const tried = integrated(uniform(step, count), 4500)
      if (tried < best.error) best = { step, error: tried }
    }
    expect(Math.abs(levels[1] - best.step)).toBeLessThan(0.0025)
    expect(error).toBeLessThanOrEqual(best.error * 1.01)
  })

  it.each([2, 5, 15, 63, 255])('leaves nothing to Lloyd: %i levels', (count) => {
    const { thresholds, levels } = halfWaveLevels(count, 'optimal')
    for (let i = 0; i < count; i++) {
      const high = thresholds[i + 1] ?? 12
      let [mass, moment] = [0, 0]
      for (let j = 0; j < 2000; j++) {
        const x = thresholds[i] + ((j + 0.5) / 2000) * (high - thresholds[i])
        mass += density(x)
        moment += x * density(x)
      }
      expect(levels[i + 1]).toBeCloseTo(moment / mass, 4)
      if (i > 0) expect(thresholds[i]).toBeCloseTo((levels[i] + levels[i + 1]) / 2, 12)
    }
  })

  it('serves better where levels lie anywhere, and the better the more there are', () => {
    let before = 1
    for (const count of [1, 2, 3, 5, 9, 17, 33, 65, 129, 255]) {
      const [even, best] = [halfWaveLevels(count, 'uniform').error, halfWaveLevels(count, 'optimal').error]
      expect(best).toBeLessThanOrEqual(even + 1e-12)
      expect(even).toBeLessThan(before)
      before = even
    }
  })

  it('refuses numbers of levels that 8 bits cannot say', () => {
    for (const count of [0, 256, 1.5, Number.NaN])
      expect(() => halfWaveLevels(count, 'uniform')).toThrow('levels above 0 are 1 to 255')
  })
})
