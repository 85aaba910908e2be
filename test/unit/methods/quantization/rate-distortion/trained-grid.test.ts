import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RateModel } from '../../../../../src/codecs/rate.ts'
import { plainMetric } from '../../../../../src/methods/quantization/rate-distortion/error-metric.ts'
import { levelGrid, uniformGrid } from '../../../../../src/methods/quantization/rate-distortion/grid.ts'
import { trainGrid, type GridTask } from '../../../../../src/methods/quantization/rate-distortion/trained-grid.ts'
import { anyRows } from '../../../../../src/methods/weight-rows.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'

const gamma = (code: number) => 1 + 2 * Math.log2(1 + Math.abs(code))
const fixed: RateModel = { context: () => 0, bits: (_, code) => gamma(code) }

/** Starts from the nearest multiples of `step`. */
function train(values: readonly number[], step: number, changes: Partial<GridTask> = {}) {
  const weights = Float32Array.from(values)
  const start = uniformGrid(step)
  const task: GridTask = {
    weights,
    rows: anyRows([1, weights.length]),
    metric: plainMetric(1, weights.length),
    gain: Float64Array.of(1),
    lambda: 0,
    codes: Int16Array.from(weights, (value) => start.nearest(value)),
    shape: [1, weights.length],
    count: 8,
    valueBits: 32,
    stored: (levels) => levels,
    ...changes,
  }
  return trainGrid(task, start)
}

/** The least cost of all ways to put values into at most `most` groups, each represented by its mean. */
function leastCost(values: readonly number[], most: number, lambda: number, valueBits: number): number {
  let least = Infinity
  for (let way = 0; way < most ** values.length; way++) {
    const groups: number[][] = Array.from({ length: most }, () => [])
    for (let i = 0, rest = way; i < values.length; i++, rest = Math.floor(rest / most))
      groups[rest % most].push(Math.fround(values[i]))
    const taken = groups.filter((group) => group.length > 0)
    const means = taken.map((group) => group.reduce((sum, value) => sum + value, 0) / group.length)
    const order = means.map((_, i) => i).sort((a, b) => means[a] - means[b])
    const grid = levelGrid(order.map((i) => means[i]))
    let cost = lambda * valueBits * taken.length
    for (const [rank, i] of order.entries())
      for (const value of taken[i]) cost += (value - means[i]) ** 2 + lambda * gamma(rank + grid.low)
    least = Math.min(least, cost)
  }
  return least
}

describe('a trained grid', () => {
  const few = [-2.1, -1.8, 0.3, 0.1, 0.25, 1.4, 1.7]
  const valueBits = 6
  const costOf = (lambda: number, count: number) => {
    const { distortion, bits } = train(few, 0.5, { lambda, count, valueBits, rateOf: () => fixed })
    return distortion + lambda * bits
  }

  it.each([
    [0, 3],
    [0.001, 3],
    [0.01, 3],
    [0.03, 3],
    [0.01, 2],
  ])('is the best of all, at λ = %d with at most %d values', (lambda, count) => {
    expect(costOf(lambda, count)).toBeCloseTo(leastCost(few, count, lambda, valueBits), 5)
  })

  it('costs half as much again at most where it ends at an optimum that is only local', () => {
    for (const lambda of [0, 0.1, 0.3, 1, 3])
      for (const count of [2, 3, 4]) {
        const least = leastCost(few, count, lambda, valueBits)
        expect(costOf(lambda, count)).toBeGreaterThan(least - 1e-5)
        expect(costOf(lambda, count)).toBeLessThan(1.5 * least + 1e-5)
      }
  })

  it('takes the nearest value at λ = 0, uses every value, and has no more than it may', () => {
    const values = fc.array(fc.float({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(values, fc.integer({ min: 2, max: 9 }), (numbers, count) => {
        const { codebook, places } = train(numbers, 0.5, { count })
        expect(codebook.length).toBeLessThanOrEqual(count)
        expect(new Set(places).size).toBe(codebook.length)
        expect([...codebook]).toEqual([...codebook].sort((a, b) => a - b))
        for (const [i, number] of numbers.entries()) {
          const distances = codebook.map((value) => Math.abs(value - number))
          expect(distances[places[i]]).toBe(Math.min(...distances))
        }
      }),
    )
  })

  it('costs no more bits at a larger λ, codebook included', () => {
    const random = createRandom(9)
    const values = Array.from({ length: 600 }, () => 4 * random.normal())
    let before = Infinity
    for (const lambda of [0, 0.01, 0.05, 0.2, 0.5, 1, 3, 10, 100]) {
      const result = train(values, 0.5, { lambda, count: 32, rateOf: () => fixed })
      expect(result.bits).toBeLessThanOrEqual(before)
      before = result.bits
    }
  })

  it('drops values that are not worth a place in the codebook', () => {
    const values = [...Array.from({ length: 50 }, (_, i) => (i % 2 ? 1 : -1)), 1.6]
    const options = { lambda: 0.1, count: 8, rateOf: () => fixed }
    expect(train(values, 0.4, { ...options, valueBits: 0 }).codebook).toHaveLength(3)
    expect(train(values, 0.4, { ...options, valueBits: 32 }).codebook).toHaveLength(2)
  })

  it('keeps the zeros of a pruned layer, exactly', () => {
    const random = createRandom(4)
    const values = Array.from({ length: 300 }, (_, i) => (i % 3 ? 0 : 0.4 + random.normal()))
    for (const count of [2, 4, 16]) {
      const { codebook, places } = train(values, 0.1, { count, lambda: 0.001 })
      for (const [i, value] of values.entries()) if (value === 0) expect(codebook[places[i]]).toBe(0)
    }
  })
})
