import { defineFactorizer } from './family.ts'
import { roundingReach } from './latents.ts'
import { alternatingTerm } from './terms.ts'

/**
 * Writes the matrix of a layer as X D Yᵀ with -1, 0 and 1 in X and Y: a semidiscrete decomposition. Each term takes
 * most from what is left of the matrix, x and y in turn; then all terms are gone over again, each fitted to what the
 * others leave (algorithm 1). Multiplications are left for the scales alone. Fine-tuning starts from the full-precision
 * weights that `recoverLatents` finds, made as large as each other (weights balancing); the forward pass rounds them to
 * -1, 0 and 1, and they stay within what rounds to these, [-1.5, 1.5].
 *
 * Differs from the paper: the power method and random numbers give the starts, and where the shorter side has at most four
 * entries all patterns are tried; the authors' code starts at ones. It goes over the terms of a convolution up to 19
 * times, over those of a dense layer not at all; `passes` is five for both.
 */
export const fixedPointFactorization = defineFactorizer({
  name: 'fixed-point-factorization',
  summary: 'Replaces a layer by two of -1, 0 and 1 with a scale between them for each of the channels that they share.',
  paper: {
    title: 'Fixed-Point Factorized Networks',
    authors: 'Wang, Cheng',
    venue: 'CVPR',
    year: 2017,
    arxiv: '1611.01972',
  },
  options: {},
  codeBits: 2,
  usualBits: 2,
  usualPasses: 5,
  training: {
    encode: (draft, latent, literal) => draft.add('Clip', [draft.add('Round', [latent]), literal(-1), literal(1)]),
    clip: 1.5,
    reach: roundingReach,
  },
  fit: (task) => alternatingTerm(task, { codes: [-1, 0, 1], encode: bestTernary }),
})

/**
 * The codes of -1, 0 and 1 that maximize (codes · s)² / |codes|²: the signs of the J entries of greatest size, for the J
 * with the greatest (Σ |s|)² / J (Kolda and O'Leary, 1998).
 */
export function bestTernary(values: Float64Array): Float64Array {
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b)
  let [sum, most, count] = [0, -1, 0]
  for (let j = 0; j < order.length; j++) {
    sum += Math.abs(values[order[j]])
    const gain = sum ** 2 / (j + 1)
    if (gain > most) [most, count] = [gain, j + 1]
  }
  const codes = new Float64Array(values.length)
  for (const place of order.subarray(0, count)) codes[place] = values[place] < 0 ? -1 : 1
  return codes
}
