import { describe, expect, it } from 'vitest'
import { bestTernary } from '../../../../src/methods/factorization/fixed-point-factorization.ts'
import {
  balanceLatents,
  recoverLatents,
  signReach,
  type Latents,
} from '../../../../src/methods/factorization/latents.ts'
import { alternatingTerm, fitTerms } from '../../../../src/methods/factorization/terms.ts'
import { innerProduct } from '../../../../src/tensor/linalg.ts'
import { createRandom } from '../../../../src/tensor/random.ts'

const [rows, columns] = [6, 10]

async function example() {
  const random = createRandom(2)
  const matrix = Float64Array.from({ length: rows * columns }, () => random.normal())
  const terms = await fitTerms({
    rows,
    columns,
    matrix,
    rank: 4,
    passes: 2,
    starts: 1,
    random,
    fit: (task) => alternatingTerm(task, { codes: [-1, 0, 1], encode: bestTernary }),
    pace: () => Promise.resolve(),
  })
  return { matrix, terms }
}

function product({ x, y, scales }: Latents): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, at) =>
    x.reduce((sum, own, k) => sum + own[Math.floor(at / columns)] * scales[k] * y[k][at % columns], 0),
  )
}

const signOf = (value: number) => (value < 0 ? -1 : 1)

function distance(matrix: Float64Array, other: Float64Array): number {
  const rest = matrix.map((value, i) => value - other[i])
  return innerProduct(rest, rest)
}

describe('recoverLatents', () => {
  it('comes nearer to the weights sweep by sweep, and rounds to the codes', async () => {
    const { matrix, terms } = await example()
    let before = distance(matrix, product(recoverLatents(matrix, terms, 0)))
    for (const sweeps of [1, 2, 5, 20]) {
      const latents = recoverLatents(matrix, terms, sweeps)
      const error = distance(matrix, product(latents))
      expect(error).toBeLessThan(before)
      before = error
      for (const [k, { u, v }] of terms.entries()) {
        expect(latents.x[k].every((value, i) => Math.abs(value - u[i]) < 0.5)).toBe(true)
        expect(latents.y[k].every((value, j) => Math.abs(value - v[j]) < 0.5)).toBe(true)
      }
    }
    expect(before).toBeLessThan(0.5 * distance(matrix, product(recoverLatents(matrix, terms, 0))))
  })

  it('keeps the signs of signs, what is behind them within one, and none so near to 0 that a first step turns it', async () => {
    const { matrix, terms } = await example()
    const signs = terms.map(({ u, v, scale }) => ({ u: u.map(signOf), v: v.map(signOf), scale }))
    const latents = recoverLatents(matrix, signs, 10, signReach)
    for (const [k, { u, v }] of signs.entries())
      for (const [values, codes] of [
        [latents.x[k], u],
        [latents.y[k], v],
      ])
        expect(values.every((value, i) => value * codes[i] >= 0.3 && value * codes[i] <= 1)).toBe(true)
    const start = recoverLatents(matrix, signs, 0, signReach)
    expect(distance(matrix, product(latents))).toBeLessThan(0.8 * distance(matrix, product(start)))
  })

  it('leaves what is exact as it is, and terms without a scale', () => {
    const terms = [
      { u: Float64Array.of(1, -1), v: Float64Array.of(1, 1), scale: 2 },
      { u: Float64Array.of(1, 0), v: Float64Array.of(0, 1), scale: 0 },
    ]
    const { x, y } = recoverLatents(Float64Array.of(2, 2, -2, -2), terms, 3)
    expect(x.map((own) => [...own])).toEqual([
      [1, -1],
      [1, 0],
    ])
    expect(y.map((own) => [...own])).toEqual([
      [1, 1],
      [0, 1],
    ])
  })
})

describe('balanceLatents', () => {
  it('keeps the product and makes the factors as large as each other', async () => {
    const { matrix, terms } = await example()
    const latents = recoverLatents(matrix, terms, 5)
    const balanced = balanceLatents(latents)
    const size = (parts: readonly Float64Array[]) =>
      Math.sqrt(
        parts.reduce((sum, part) => sum + innerProduct(part, part), 0) /
          parts.reduce((sum, { length }) => sum + length, 0),
      )
    expect(distance(product(latents), product(balanced))).toBeLessThan(1e-20)
    expect(size(balanced.x)).toBeCloseTo(size(balanced.y), 12)
    expect(size(balanced.x)).toBeCloseTo(size([balanced.scales]), 12)
    expect(balanced.x[0][0]).toBeCloseTo(latents.x[0][0] * balanced.unitX, 12)
    expect(balanced.y[0][0]).toBeCloseTo(latents.y[0][0] * balanced.unitY, 12)
  })

  it('leaves factors of nothing as they are', () => {
    const nothing = { x: [Float64Array.of(1)], y: [Float64Array.of(1)], scales: Float64Array.of(0) }
    expect(balanceLatents(nothing)).toEqual({ ...nothing, unitX: 1, unitY: 1 })
  })
})
