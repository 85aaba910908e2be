import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { spearman } from '../../../../src/papers/criteria/spearman.ts'

describe('spearman', () => {
  it('is what a textbook says', () => {
    // 1 - 6 Σ d² / (n (n² - 1)) without ties: the squares of the differences of ranks are 1, 1, 4, 1, 1.
    expect(spearman([10, 20, 30, 40, 50], [2, 1, 5, 3, 4])).toBeCloseTo(1 - (6 * 8) / (5 * 24))
    // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3.
    expect(spearman([1, 2, 2, 9], [1, 2, 3, 4])).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5))
  })

  it('knows no correlation where there is nothing to rank', () => {
    expect(spearman([1, 1, 1], [1, 2, 3])).toBeUndefined()
    expect(spearman([1], [2])).toBeUndefined()
    expect(spearman([], [])).toBeUndefined()
  })

  it('depends on order alone, lies between -1 and 1, and turns its sign with one side', () => {
    const pairs = fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -9, max: 9 })), { minLength: 2 })
    fc.assert(
      fc.property(pairs, (list) => {
        const [a, b] = [list.map(([x]) => x), list.map(([, y]) => y)]
        const found = spearman(a, b)
        expect(
          spearman(
            a.map(Math.exp),
            b.map((y) => y ** 3),
          ),
        ).toEqual(found)
        if (found === undefined) return
        expect(Math.abs(found)).toBeLessThanOrEqual(1 + 1e-12)
        expect(
          spearman(
            a.map((x) => -x),
            b,
          ),
        ).toBeCloseTo(-found, 9)
        expect(spearman(a, a)).toBeCloseTo(1, 9)
      }),
    )
  })
})
