/**
 * The logistic function and its inverse as tables, from additions, multiplications and divisions only: the same bits
 * on every machine, which `Math.exp` and `Math.log` do not promise. Encoder and decoder must agree to the last bit.
 */

/** Steps of a probability from 0 to 1 in the table of logits. */
export const STRETCH_SIZE = 16384

/** Logits are kept within plus and minus this. */
export const LOGIT_LIMIT = 12

const SQUASH_SIZE = 4096

/** Table steps a unit of logit. */
export const SQUASH_SCALE = SQUASH_SIZE / (2 * LOGIT_LIMIT)

function exponential(x: number): number {
  const small = x / 1024
  let term = 1
  let sum = 1
  for (let k = 1; k <= 8; k++) {
    term = (term * small) / k
    sum += term
  }
  for (let k = 0; k < 10; k++) sum *= sum
  return sum
}

function logarithm(x: number): number {
  let exponent = 0
  while (x > 1.5) {
    x /= 2
    exponent++
  }
  while (x < 0.75) {
    x *= 2
    exponent--
  }
  const t = (x - 1) / (x + 1)
  let power = t
  let sum = 0
  for (let k = 1; k <= 41; k += 2) {
    sum += power / k
    power *= t * t
  }
  return 2 * sum + exponent * Math.LN2
}

/** ln(p / (1 - p)) at the middle of each of the `STRETCH_SIZE` steps of a probability. */
export const stretchTable: Float64Array = Float64Array.from({ length: STRETCH_SIZE }, (_, i) =>
  logarithm((i + 0.5) / (STRETCH_SIZE - 0.5 - i)),
)

/** 1 / (1 + e^-x) in 65,536ths at the middle of each step of x, within 24..65,512 so that no decision costs too much. */
export const squashTable: Uint16Array = Uint16Array.from({ length: SQUASH_SIZE }, (_, i) => {
  const x = (i + 0.5) / SQUASH_SCALE - LOGIT_LIMIT
  const p = Math.floor(65536 / (1 + exponential(-x)))
  return Math.min(65512, Math.max(24, p))
})
