import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addToInverse, cholesky, invertPositive, solveCholesky } from '../../../src/tensor/linalg.ts'
import { createRandom } from '../../../src/tensor/random.ts'

/** X Xᵀ + damping, of random X [size, size + 2]. */
function positive(size: number, seed: number, damping = 0.1): Float64Array {
  const random = createRandom(seed)
  const columns = size + 2
  const x = Float64Array.from({ length: size * columns }, () => random.normal())
  const matrix = new Float64Array(size * size)
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++)
      for (let k = 0; k < columns; k++) matrix[i * size + j] += x[i * columns + k] * x[j * columns + k]
  for (let i = 0; i < size; i++) matrix[i * size + i] += damping
  return matrix
}

function product(a: Float64Array, b: Float64Array, size: number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => {
    let sum = 0
    for (let k = 0; k < size; k++) sum += a[Math.floor(at / size) * size + k] * b[k * size + (at % size)]
    return sum
  })
}

const transposed = (a: Float64Array, size: number) => a.map((_, at) => a[(at % size) * size + Math.floor(at / size)])

const far = (a: Float64Array, b: Float64Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)

const sizes = fc.integer({ min: 1, max: 24 })
const seeds = fc.integer({ min: 0, max: 1e9 })

describe('the Cholesky factor', () => {
  it('is the one worked out by hand', () => {
    const matrix = Float64Array.of(4, 12, -16, 12, 37, -43, -16, -43, 98)
    expect([...cholesky(matrix, 3)!]).toEqual([2, 0, 0, 6, 1, 0, -8, 5, 3])
  })

  it('times its transpose is the matrix', () => {
    fc.assert(
      fc.property(sizes, seeds, (size, seed) => {
        const matrix = positive(size, seed)
        const factor = cholesky(matrix, size)!
        expect(far(product(factor, transposed(factor, size), size), matrix)).toBeLessThan(1e-10)
      }),
    )
  })

  it('is not there where the matrix is not positive definite', () => {
    expect(cholesky(Float64Array.of(1, 2, 2, 1), 2)).toBeUndefined()
    expect(cholesky(Float64Array.of(1, 1, 1, 1), 2)).toBeUndefined()
    expect(cholesky(Float64Array.of(0), 1)).toBeUndefined()
    expect(cholesky(Float64Array.of(Number.NaN), 1)).toBeUndefined()
    expect(cholesky(Float64Array.of(Infinity), 1)).toBeUndefined()
    expect(invertPositive(Float64Array.of(-1), 1)).toBeUndefined()
  })

  it('solves', () => {
    fc.assert(
      fc.property(sizes, seeds, (size, seed) => {
        const matrix = positive(size, seed)
        const random = createRandom(seed).fork('right')
        const right = Float64Array.from({ length: size }, () => random.normal())
        const x = solveCholesky(cholesky(matrix, size)!, size, right)
        const back = right.map((_, i) => x.reduce((sum, value, k) => sum + matrix[i * size + k] * value, 0))
        expect(far(back, right)).toBeLessThan(1e-8)
      }),
    )
  })
})

describe('the inverse', () => {
  it('times the matrix is the identity, and it is symmetric', () => {
    fc.assert(
      fc.property(sizes, seeds, (size, seed) => {
        const matrix = positive(size, seed)
        const inverse = invertPositive(matrix, size)!
        const identity = matrix.map((_, at) => (at % (size + 1) === 0 ? 1 : 0))
        expect(far(product(inverse, matrix, size), identity)).toBeLessThan(1e-8)
        expect(inverse).toEqual(transposed(inverse, size))
      }),
    )
  })

  it('gains x xᵀ as if the matrix had always had it', () => {
    fc.assert(
      fc.property(sizes, seeds, fc.double({ min: 0.01, max: 10, noNaN: true }), (size, seed, share) => {
        const matrix = positive(size, seed)
        const inverse = invertPositive(matrix, size)!
        const random = createRandom(seed).fork('x')
        const x = Float64Array.from({ length: size }, () => random.normal())
        addToInverse(inverse, size, x, share)
        const sum = matrix.map((value, at) => value + share * x[Math.floor(at / size)] * x[at % size])
        expect(far(inverse, invertPositive(sum, size)!)).toBeLessThan(1e-8)
      }),
    )
  })
})
