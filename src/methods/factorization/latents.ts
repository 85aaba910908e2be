/** Full-precision weights behind codes of a factorization: what straight-through training starts from. */
import { innerProduct, times, transposedTimes } from '../../tensor/linalg.ts'
import type { Term } from './terms.ts'

/** Real factors of a matrix, W ≈ Σ_k d_k x_k y_kᵀ. */
export interface Latents {
  /** Columns of X, [K][rows]. */
  readonly x: readonly Float64Array[]
  /** Columns of Y, [K][columns]. */
  readonly y: readonly Float64Array[]
  /** d, [K]. */
  readonly scales: Float64Array
}

/** The least and the greatest latent that a code may have. */
export type CodeReach = (code: number) => readonly [least: number, greatest: number]

/** Everything that rounds to the code: |X̂ - X| < 1/2 (weights recovery of Fixed-Point Factorized Networks). */
export const roundingReach: CodeReach = (code) => [code - 0.499, code + 0.499]

/** How far from 0 latents of signs start: nearer to it, the noise of the first steps would turn those that data chose. */
const LEAST_OF_SIGN = 0.3

/** Everything on the side of the code, a sign, that is far enough from 0. */
export const signReach: CodeReach = (code) => (code < 0 ? [-1, -LEAST_OF_SIGN] : [LEAST_OF_SIGN, 1])

/**
 * The full-precision weights of Fixed-Point Factorized Networks (weights recovery): X̂ and Ŷ that make |W - X̂ D Ŷᵀ|² small
 * while each entry still has its code, so that training starts from a network that is nearer to the one that was
 * trained. One entry after the other takes its best value within reach; no sweep makes the error larger.
 * @param matrix W, [rows, columns].
 * @param sweeps how often all entries of X̂ and of Ŷ are gone over.
 */
export function recoverLatents(
  matrix: Float64Array,
  terms: readonly Term[],
  sweeps: number,
  reach: CodeReach = roundingReach,
): Latents {
  const x = terms.map(({ u }) => u.slice())
  const y = terms.map(({ v }) => v.slice())
  const scales = Float64Array.from(terms, ({ scale }) => scale)
  const [rows, columns] = [x[0].length, y[0].length]
  const residual = matrix.slice()
  for (const k of terms.keys()) addOuter(residual, x[k], y[k], -scales[k])
  for (let sweep = 0; sweep < sweeps; sweep++)
    for (const [k, { u, v }] of terms.entries()) {
      const moveX = moves(times(residual, rows, y[k]), x[k], u, reach, scales[k] * innerProduct(y[k], y[k]))
      addOuter(residual, moveX, y[k], -scales[k])
      const moveY = moves(
        transposedTimes(residual, columns, x[k]),
        y[k],
        v,
        reach,
        scales[k] * innerProduct(x[k], x[k]),
      )
      addOuter(residual, x[k], moveY, -scales[k])
    }
  return { x, y, scales }
}

/** Moves each latent to its best value within reach, in place, and returns by how much it moved. */
function moves(
  pull: Float64Array,
  latents: Float64Array,
  codes: Float64Array,
  reach: CodeReach,
  weight: number,
): Float64Array {
  return pull.map((value, i) => {
    if (!(weight > 0)) return 0
    const before = latents[i]
    const [least, greatest] = reach(codes[i])
    latents[i] = Math.max(least, Math.min(greatest, before + value / weight))
    return latents[i] - before
  })
}

function addOuter(matrix: Float64Array, x: Float64Array, y: Float64Array, scale: number): void {
  for (let i = 0; i < x.length; i++) {
    const factor = scale * x[i]
    if (factor !== 0) for (let j = 0; j < y.length; j++) matrix[i * y.length + j] += factor * y[j]
  }
}

/** Factors of the same product, and the multiples of the codes that they are. */
export interface Balanced extends Latents {
  /** What a code of X, and of Y, stands for. */
  readonly unitX: number
  readonly unitY: number
}

/**
 * The same product from factors whose entries have the same root mean square (weights balancing): a product leaves open which
 * factor is large, and where the scales are small, gradients by X and Y are too small for their codes to change in
 * training at the learning rate that the scales need.
 *
 * Differs from the paper, which takes the sizes that an initialization would give to layers of these shapes.
 */
export function balanceLatents({ x, y, scales }: Latents): Balanced {
  const sizes = [meanSize(x), meanSize([scales]), meanSize(y)]
  const common = Math.cbrt(sizes[0] * sizes[1] * sizes[2])
  const [unitX, unitScale, unitY] = sizes.map((size) => (size > 0 && common > 0 ? common / size : 1))
  const scaled = (vectors: readonly Float64Array[], unit: number) =>
    vectors.map((vector) => vector.map((value) => value * unit))
  return { x: scaled(x, unitX), y: scaled(y, unitY), scales: scaled([scales], unitScale)[0], unitX, unitY }
}

/** The root of the mean square. */
function meanSize(vectors: readonly Float64Array[]): number {
  const count = vectors.reduce((sum, vector) => sum + vector.length, 0)
  return Math.sqrt(vectors.reduce((sum, vector) => sum + innerProduct(vector, vector), 0) / count)
}
