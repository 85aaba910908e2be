import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { leastMissed } from '../../../../../src/methods/pruning/filters/thinet.ts'
import type { NextLayer } from '../../../../../src/methods/pruning/filters/family/next-layer.ts'

/** Products of vectors, one a channel: Σ_{i,j∈T} ⟨z_i, z_j⟩ is the squared length of their sum. */
function productsOf(vectors: readonly (readonly number[])[]): NextLayer {
  const size = vectors.length
  const products = Float64Array.from({ length: size ** 2 }, (_, at) =>
    vectors[Math.floor(at / size)].reduce((sum, value, k) => sum + value * vectors[at % size][k], 0),
  )
  return { size, products, squares: new Float64Array(size).fill(1) }
}

const lost = (vectors: readonly (readonly number[])[], removed: readonly number[]) =>
  vectors[0].reduce((sum, _, k) => sum + removed.reduce((part, i) => part + vectors[i][k], 0) ** 2, 0)

describe('leastMissed', () => {
  it('sees that two channels may make up for each other', () => {
    // Alone the last is the smallest; the first two cancel out.
    const vectors = [
      [3, 0],
      [-3, 0.1],
      [0, 4],
      [2, 0],
    ]
    expect(leastMissed(productsOf(vectors), 1)).toEqual([3])
    expect(leastMissed(productsOf(vectors), 2)).toEqual([1, 3])
    expect(leastMissed(productsOf(vectors), 3)).toEqual([0, 1, 3])
  })

  it('removes in each step what an exhaustive search would', () => {
    const number = fc.double({ min: -3, max: 3, noNaN: true })
    const channels = fc.array(fc.tuple(number, number, number), { minLength: 2, maxLength: 7 })
    fc.assert(
      fc.property(channels, (vectors) => {
        const next = productsOf(vectors)
        let before: number[] = []
        for (let count = 1; count < vectors.length; count++) {
          const after = leastMissed(next, count)
          const others = [...vectors.keys()].filter((i) => !before.includes(i))
          const best = Math.min(...others.map((i) => lost(vectors, [...before, i])))
          expect(after).toEqual(expect.arrayContaining(before))
          expect(lost(vectors, after)).toBeCloseTo(best, 6)
          before = after
        }
      }),
    )
  })
})
