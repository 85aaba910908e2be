/** Rows of signs and one scale that make nearly the outputs that a row of weights makes. */

import { innerProduct, times } from '../tensor/linalg.ts'

/** The row scale · signs. */
export interface BinaryRow {
  /** Each -1 or 1. */
  readonly signs: Float64Array
  /** At least 0. */
  readonly scale: number
}

/** Sweeps over all signs after which the descent ends even if one still flips. */
const MOST_SWEEPS = 100

/** The signs of numbers; 1 for zero. */
export function signsOf(values: Float64Array): Float64Array {
  return values.map((value) => (value < 0 ? -1 : 1))
}

/**
 * The row α b, b of signs, for which (w - α b)ᵀ H (w - α b) is small: the error of the output on inputs with the moments
 * H. In turn α = bᵀHw / bᵀHb, and each sign once, b_j = sign((Hw)_j - α Σ_{k≠j} H_jk b_k), the others as they are; no
 * step makes the error larger, and it ends where no single flip makes it smaller. A sweep costs K multiplications for
 * each sign that flips, and the whole never more than 100 K².
 * @param hessian H, [size, size], symmetric, with a positive diagonal.
 * @param row w, [size].
 * @param start the signs to begin with; default: those of w.
 */
export function binaryRow(
  hessian: Float64Array,
  size: number,
  row: Float64Array,
  start: Float64Array = signsOf(row),
): BinaryRow {
  const signs = start.slice()
  const target = times(hessian, size, row)
  const image = times(hessian, size, signs)
  let scale = 0
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    const next = innerProduct(signs, target) / innerProduct(signs, image)
    if (next < 0) {
      for (let j = 0; j < size; j++) {
        signs[j] = -signs[j]
        image[j] = -image[j]
      }
    }
    scale = Math.abs(next)
    let flipped = false
    for (let j = 0; j < size; j++) {
      const pull = target[j] - scale * (image[j] - hessian[j * size + j] * signs[j])
      // Strictly against the sign: where both are as good nothing moves, so that the descent ends.
      if (scale === 0 || pull * signs[j] >= 0) continue
      for (let k = 0; k < size; k++) image[k] -= 2 * signs[j] * hessian[j * size + k]
      signs[j] = -signs[j]
      flipped = true
    }
    if (!flipped) break
  }
  return { signs, scale: Math.abs(innerProduct(signs, target) / innerProduct(signs, image)) }
}
