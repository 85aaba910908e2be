import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DataError } from '../../../src/errors.ts'
import {
  figureValues,
  formatResults,
  judge,
  parseResults,
  spread,
  type RowResults,
} from '../../../src/papers/results.ts'
import { paperRows } from '../../../src/papers/rows/index.ts'
import { definePaperRow } from '../../../src/papers/row.ts'

describe('judge', () => {
  it('says nothing was run or nothing is asked', () => {
    expect(judge({ name: 'a', unit: '%', atLeast: 1 }, [])).toBe('not run')
    expect(judge({ name: 'a', unit: '%' }, [5])).toBe('no bound')
    expect(judge({ name: 'a', unit: '%', published: 9 }, [5])).toBe('no bound')
  })

  it('holds the mean over the seeds against both bounds, which count as kept where they are met exactly', () => {
    expect(judge({ name: 'a', unit: 'x', atLeast: 40 }, [39, 41])).toBe('met')
    expect(judge({ name: 'a', unit: 'x', atLeast: 40 }, [39, 40])).toBe('missed')
    expect(judge({ name: 'a', unit: '%', atMost: 1.64 }, [1.6, 1.68])).toBe('met')
    expect(judge({ name: 'a', unit: '%', atMost: 1.64 }, [1.7])).toBe('missed')
    expect(judge({ name: 'a', unit: '%', atLeast: 1, atMost: 2 }, [2.5])).toBe('missed')
    expect(judge({ name: 'a', unit: '%', atLeast: 1, atMost: 2 }, [0.5])).toBe('missed')
  })

  it('compares what the page shows: the mean rounded to the digits of the figure', () => {
    expect(judge({ name: 'a', unit: '%', atMost: 1.64 }, [1.6449])).toBe('met')
    expect(judge({ name: 'a', unit: '%', atMost: 1.64 }, [1.6451])).toBe('missed')
    expect(judge({ name: 'a', unit: 'x', atLeast: 12, digits: 1 }, [11.96])).toBe('met')
    expect(judge({ name: 'a', unit: 'x', atLeast: 12, digits: 1 }, [11.94])).toBe('missed')
    expect(judge({ name: 'a', unit: 'bytes', atMost: 100, digits: 0 }, [100.4])).toBe('met')
  })
})

describe('spread', () => {
  it('gives the mean and the sample standard deviation', () => {
    expect(spread([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({ mean: 5, deviation: Math.sqrt(32 / 7) })
  })

  it('knows no deviation of a single value', () => {
    expect(spread([3])).toEqual({ mean: 3, deviation: undefined })
  })

  it('has no deviation where all values are the same, and moves with the values', () => {
    fc.assert(
      fc.property(fc.integer({ min: -99, max: 99 }), fc.integer({ min: 2, max: 9 }), (value, count) => {
        expect(spread(Array.from({ length: count }, () => value))).toEqual({ mean: value, deviation: 0 })
        const { mean, deviation } = spread(Array.from({ length: count }, (_, i) => i + value))
        expect(mean).toBeCloseTo(value + (count - 1) / 2, 9)
        expect(deviation).toBeCloseTo(Math.sqrt((count * (count + 1)) / 12), 9)
      }),
    )
  })
})

describe('results files', () => {
  const results: RowResults = {
    row: 'a',
    runs: [
      { seed: 1, seconds: 12, values: { error: 1.5, 'pruned, weights': 12 } },
      { seed: 2, seconds: 13, values: { error: 1.6 } },
    ],
  }

  it('come back as they were, from text that ends in a line break', () => {
    expect(parseResults(formatResults(results), 'a.json')).toEqual(results)
    expect(formatResults(results)).toMatch(/\}\n$/)
  })

  it.each([
    ['no JSON', '{"row": "a", "runs": ['],
    ['no object', '7'],
    ['no runs', '{"row": "a"}'],
    ['a seed that is no whole number', '{"row": "a", "runs": [{"seed": 1.5, "seconds": 1, "values": {}}]}'],
    ['a value that is no number', '{"row": "a", "runs": [{"seed": 1, "seconds": 1, "values": {"error": "low"}}]}'],
    ['a field that nobody knows', '{"row": "a", "runs": [], "more": 1}'],
  ])('are refused with %s', (_, text) => {
    expect(() => parseResults(text, 'docs/papers/a.json')).toThrow(DataError)
    expect(() => parseResults(text, 'docs/papers/a.json')).toThrow(
      expect.objectContaining({ code: 'papers-results', place: 'docs/papers/a.json' }),
    )
  })

  it('give the values of the seeds that the row still has, and of the figures that a run measured', () => {
    const row = { ...paperRows.values().next().value!, seeds: [1, 2] }
    const figure = (name: string) => ({ name, unit: '%' })
    expect(figureValues(row, results, figure('error'))).toEqual([1.5, 1.6])
    expect(figureValues(row, results, figure('pruned, weights'))).toEqual([12])
    expect(figureValues({ ...row, seeds: [2] }, results, figure('error'))).toEqual([1.6])
    expect(figureValues(row, undefined, figure('error'))).toEqual([])
  })
})

describe('definePaperRow', () => {
  it('refuses two figures of one name, because results are kept by name', () => {
    const row = paperRows.values().next().value!
    const figures = [
      { name: 'error', unit: '%' },
      { name: 'error', unit: 'points' },
    ]
    expect(() => definePaperRow({ ...row, figures })).toThrow('different names')
  })
})
