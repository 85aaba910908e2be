import { describe, expect, it } from 'vitest'
import { MOST_NUMBERS } from '../../../src/codecs/number-model.ts'
import { createPredictiveBudget, decisionsOf } from '../../../src/codecs/predictive-budget.ts'

describe('the budget of the predictive coder', () => {
  it('counts whether each symbol is 0, and the bits of those that are not', () => {
    expect(decisionsOf([0, 0, 3, 1], 5)).toBe(4 + 2 * 3)
    expect(decisionsOf([], 5)).toBe(0)
  })

  it('ends with the numbers that a model takes', () => {
    const budget = createPredictiveBudget()
    expect(budget.mayFit(MOST_NUMBERS)).toBe(true)
    expect(budget.mayFit(MOST_NUMBERS + 1)).toBe(false)
    expect(budget.fits(MOST_NUMBERS - 1, MOST_NUMBERS - 1)).toBe(true)
    expect([budget.mayFit(1), budget.mayFit(2)]).toEqual([true, false])
    expect(budget.fits(2, 2)).toBe(false)
  })

  it('ends with the decisions that there is time for', () => {
    const budget = createPredictiveBudget()
    expect(budget.fits(1000, 1.5e7)).toBe(true)
    expect(budget.fits(1000, 1.5e7)).toBe(false)
    expect(budget.mayFit(1)).toBe(false)
  })
})
