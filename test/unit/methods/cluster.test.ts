import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clusterNumbers, initializations, nearestCentroids } from '../../../src/methods/sharing/cluster.ts'
import { createRandom } from '../../../src/tensor/random.ts'

const random = () => createRandom(7)
const numbers = fc
  .array(fc.float({ noNaN: true, min: -100, max: 100 }), { minLength: 1, maxLength: 400 })
  .map((values) => Float32Array.from(values))

function naiveError(values: Float32Array, centroids: ArrayLike<number>): number {
  let error = 0
  for (const value of values) {
    let best = Number.POSITIVE_INFINITY
    for (let c = 0; c < centroids.length; c++) best = Math.min(best, (value - centroids[c]) ** 2)
    error += best
  }
  return error
}

describe('clusterNumbers', () => {
  it('finds two obvious clusters from every start', () => {
    const values = Float32Array.of(0, 10, 1, 11, 2, 12)
    for (const initialization of initializations) {
      const { centroids, error } = clusterNumbers(values, 2, { initialization, random: random() })
      expect([...centroids]).toEqual([1, 11])
      expect(error).toBeCloseTo(4, 12)
    }
  })

  it('weighs values by their importance', () => {
    const values = Float32Array.of(0, 1, 10, 11)
    const importance = Float32Array.of(1, 3, 1, 0)
    const { centroids } = clusterNumbers(values, 2, { random: random(), importance })
    expect([...centroids]).toEqual([0.75, 10])
  })

  it('represents exactly what has no more values than centroids', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(-1.5, 0, 0.25, 3, 7), { minLength: 1, maxLength: 60 }), (items) => {
        const values = Float32Array.from(items)
        const { centroids, error } = clusterNumbers(values, 5, { random: random() })
        expect(error).toBe(0)
        expect([...centroids]).toEqual([...new Set(items)].sort((a, b) => a - b))
      }),
    )
  })

  it('reports the error that its centroids have, and centroids are the means of what is nearest to them', () => {
    fc.assert(
      fc.property(
        numbers,
        fc.integer({ min: 1, max: 20 }),
        fc.constantFrom(...initializations),
        (values, k, initialization) => {
          const { centroids, error } = clusterNumbers(values, k, { initialization, random: random() })
          expect(centroids.length).toBeLessThanOrEqual(k)
          expect(Math.abs(error - naiveError(values, centroids))).toBeLessThanOrEqual(1e-6 * (1 + error))
          const codes = nearestCentroids(values, centroids)
          for (const [c, centroid] of centroids.entries()) {
            const members = values.filter((_, i) => codes[i] === c)
            const mean = members.reduce((sum, value) => sum + value, 0) / members.length
            expect(Math.abs(mean - centroid)).toBeLessThanOrEqual(1e-5 * (1 + Math.abs(centroid)))
          }
        },
      ),
    )
  })

  it('gives the same from the same seed and leaves its input alone', () => {
    const values = Float32Array.from({ length: 5000 }, () => 0)
    const stream = random()
    for (let i = 0; i < values.length; i++) values[i] = stream.normal()
    const before = Float32Array.from(values)
    const once = clusterNumbers(values, 16, { initialization: 'random', random: random() })
    expect(values).toEqual(before)
    expect(clusterNumbers(values, 16, { initialization: 'random', random: random() })).toEqual(once)
    // The optimal 16-level quantizer of a normal distribution has a distortion of 0.00954 (Max, 1960).
    const density = clusterNumbers(values, 16, { initialization: 'density', random: random() })
    expect(density.error / values.length).toBeLessThan(0.0105)
  })
})

describe('nearestCentroids', () => {
  it('never beats the best and never misses it', () => {
    fc.assert(
      fc.property(
        numbers,
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 12 }),
        (values, items) => {
          const centroids = [...new Set(items)].sort((a, b) => a - b)
          const codes = nearestCentroids(values, centroids)
          let error = 0
          for (let i = 0; i < values.length; i++) error += (values[i] - centroids[codes[i]]) ** 2
          expect(error).toBeCloseTo(naiveError(values, centroids), 6)
        },
      ),
    )
  })
})
