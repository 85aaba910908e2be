import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  precisionPath,
  withinBudget,
  type Choice,
} from '../../../../../../src/methods/quantization/weights/family/precision-path.ts'

const layer = fc
  .array(fc.record({ cost: fc.integer({ min: 1, max: 9 }), damage: fc.integer({ min: -3, max: 30 }) }), {
    minLength: 1,
    maxLength: 5,
  })
  .map((list) => list.map((one, precision): Choice => ({ ...one, precision })))
const several = fc.array(layer, { minLength: 1, maxLength: 4 })

type Chosen = readonly (Choice | undefined)[]
const sum = (chosen: Chosen, key: 'cost' | 'damage') => chosen.reduce((total, one) => total + (one?.[key] ?? 0), 0)

/** Every way to choose. */
function all(layers: readonly (readonly Choice[])[]): Choice[][] {
  return layers.reduce<Choice[][]>((ways, own) => ways.flatMap((way) => own.map((one) => [...way, one])), [[]])
}

describe('the path of precisions', () => {
  it('takes the steep corner first and leaves out what lies above the hull', () => {
    const first = [2, 3, 4].map((precision, i) => ({ precision, cost: precision, damage: [9, 8, 1][i] }))
    const second = [2, 3].map((precision, i) => ({ precision, cost: precision, damage: [2, 1][i] }))
    const path = precisionPath([first, second]).map((chosen) => chosen.map((one) => one!.precision))
    expect(path).toEqual([
      [2, 2],
      [4, 2],
      [4, 3],
    ])
  })

  it('is the best choice at the price of each of its steps, among all choices', () => {
    fc.assert(
      fc.property(several, (layers) => {
        const path = precisionPath(layers)
        for (let i = 1; i < path.length; i++) {
          const price =
            (sum(path[i - 1], 'damage') - sum(path[i], 'damage')) / (sum(path[i], 'cost') - sum(path[i - 1], 'cost'))
          const value = (chosen: Chosen) => sum(chosen, 'damage') + price * sum(chosen, 'cost')
          const least = Math.min(...all(layers).map(value))
          expect(value(path[i])).toBeCloseTo(least, 6)
          expect(value(path[i - 1])).toBeCloseTo(least, 6)
        }
        expect(sum(path.at(-1)!, 'damage')).toBe(Math.min(...all(layers).map((way) => sum(way, 'damage'))))
      }),
    )
  })

  it('never exceeds a budget, and beats or equals every corner of the path within it', () => {
    fc.assert(
      fc.property(several, fc.integer({ min: 0, max: 30 }), (layers, more) => {
        const path = precisionPath(layers)
        const budget = sum(path[0], 'cost') + more
        const chosen = withinBudget(layers, budget)
        expect(sum(chosen, 'cost')).toBeLessThanOrEqual(budget)
        const corners = path.filter((one) => sum(one, 'cost') <= budget)
        expect(sum(chosen, 'damage')).toBeLessThanOrEqual(Math.min(...corners.map((one) => sum(one, 'damage'))))
      }),
    )
  })

  it('keeps a place for layers without a choice', () => {
    const [only] = withinBudget([[], [{ precision: 2, cost: 4, damage: 1 }]], 4)
    expect(only).toBeUndefined()
  })
})
