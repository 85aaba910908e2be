import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { regressionOf } from '../../../../../../src/methods/pruning/filters/channel-pruning.ts'
import { firstToVanish, lasso, type Quadratic } from '../../../../../../src/methods/pruning/filters/family/lasso.ts'
import { createRandom } from '../../../../../../src/tensor/random.ts'

/** Moments of `size` inputs that correlate, and of an output that is the sum of them times `factors`. */
function regression(size: number, seed: number, factors: readonly number[]): Quadratic {
  const random = createRandom(seed)
  const rows = Array.from({ length: 3 * size }, () => {
    const common = random.normal()
    return Array.from({ length: size }, () => random.normal() + 0.5 * common)
  })
  const moment = (f: (row: number[]) => number) => rows.reduce((sum, row) => sum + f(row), 0) / rows.length
  const output = (row: number[]) => row.reduce((sum, value, i) => sum + value * factors[i], 0)
  return {
    size,
    matrix: Float64Array.from({ length: size ** 2 }, (_, at) =>
      moment((row) => row[Math.floor(at / size)] * row[at % size]),
    ),
    linear: Float64Array.from({ length: size }, (_, i) => moment((row) => row[i] * output(row))),
  }
}

const problems = fc
  .record({
    seed: fc.nat(1000),
    factors: fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 2, maxLength: 8 }),
  })
  .map(({ seed, factors }) => ({ factors, problem: regression(factors.length, seed, factors) }))

/** b − A β. */
function residual({ size, matrix, linear }: Quadratic, beta: Float64Array): Float64Array {
  return linear.map((value, i) => beta.reduce((sum, b, j) => sum - matrix[i * size + j] * b, value))
}

describe('lasso', () => {
  it('shrinks by λ where the inputs do not correlate', () => {
    const problem = { size: 3, matrix: Float64Array.of(1, 0, 0, 0, 2, 0, 0, 0, 4), linear: Float64Array.of(0.5, -3, 4) }
    expect([...lasso(problem, 1, new Float64Array(3))]).toEqual([0, -1, 0.75])
  })

  it('fulfils the conditions of Karush, Kuhn and Tucker', () => {
    fc.assert(
      fc.property(problems, fc.double({ min: 0.01, max: 3, noNaN: true }), ({ problem }, lambda) => {
        const beta = lasso(problem, lambda, new Float64Array(problem.size))
        for (const [i, gradient] of residual(problem, beta).entries())
          if (beta[i] === 0) expect(Math.abs(gradient)).toBeLessThanOrEqual(lambda + 1e-4)
          else expect(gradient).toBeCloseTo(lambda * Math.sign(beta[i]), 4)
      }),
      { numRuns: 50 },
    )
  })
})

describe('firstToVanish', () => {
  it('takes those whose factors the penalty outweighs first', () => {
    const matrix = new Float64Array(16)
    for (let i = 0; i < 4; i++) matrix[i * 5] = 1
    const linear = Float64Array.of(3, -0.5, 2, 1)
    expect(firstToVanish({ size: 4, matrix, linear }, 2, linear)).toEqual([1, 3])
  })

  it('takes as many as asked for, of equal ones the first, and those that are zero before all others', () => {
    const matrix = new Float64Array(16)
    for (let i = 0; i < 3; i++) matrix[i * 5] = 1
    const linear = Float64Array.of(1, 1, 1, 0)
    const problem = { size: 4, matrix, linear }
    expect(firstToVanish(problem, 1, linear)).toEqual([3])
    expect(firstToVanish(problem, 3, linear)).toEqual([0, 1, 3])
  })

  it('leaves a support that some λ has', () => {
    fc.assert(
      fc.property(problems, ({ problem, factors }) => {
        for (let count = 1; count < problem.size; count++) {
          const gone = firstToVanish(problem, count, Float64Array.from(factors))
          expect(new Set(gone).size).toBe(count)
          const supports = Array.from({ length: 4000 }, (_, step) => {
            const beta = lasso(
              problem,
              Math.max(...problem.linear.map(Math.abs)) * (step / 4000),
              new Float64Array(problem.size),
            )
            return [...beta.keys()].filter((i) => beta[i] === 0).join()
          })
          // Where two vanish within one step of this coarse path, no support has the wanted size.
          if (supports.some((support) => support.split(',').length === count && support !== ''))
            expect(supports).toContain(gone.join())
        }
      }),
      { numRuns: 8 },
    )
  })
})

describe('regressionOf', () => {
  it('has the norms of the channels as its minimum without penalty', () => {
    const products = Float64Array.of(4, 1, 1, 9)
    const next = { size: 2, products, squares: Float64Array.of(4, 0.25) }
    const problem = regressionOf(next)
    expect([...problem.matrix]).toEqual([1, 1, 1, 36])
    expect([...problem.linear]).toEqual([2.5, 20])
    const gradient = residual(problem, next.squares.map(Math.sqrt))
    expect([...gradient]).toEqual([0, 0])
  })
})
