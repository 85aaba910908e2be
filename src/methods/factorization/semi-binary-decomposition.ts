import { z } from 'zod'
import { innerProduct, times, transposedTimes } from '../../tensor/linalg.ts'
import { binaryRow, signsOf } from '../binary-rows.ts'
import { defineFactorizer } from './family.ts'
import { signReach } from './latents.ts'
import { alternatingTerm, startingCodes, type Alphabet, type Term, type TermTask } from './terms.ts'

const signs: Alphabet = { codes: [-1, 1], encode: signsOf }

/** Rounds of the alternation by outputs: each improves on the one before. */
const MOST_ROUNDS = 20

/**
 * Writes the matrix of a layer as U D V with signs in U and V, greedily: u = sign(R v) and v = sign(Rᵀ u) in turn,
 * d = uᵀ R v / (T S). By feature maps a term is to take most from the error of the outputs, Y - U D V X:
 * u = sign(R X Xᵀ v), and v and d are those of the mean row Rᵀ u / T by coordinate descent. Y is what the layer put out
 * before any was changed, X what the layers that were factorized before give. With K terms a layer takes K (T + S) bits
 * and K scales; one bit a weight is what plain binary weights take.
 *
 * Differs from the paper: the power method gives the start of each term, besides random ones, and where the shorter
 * side has at most six entries all patterns are tried; the moments X Xᵀ are damped; `passes` is not in the paper. In
 * fine-tuning the full precision numbers behind the signs stay within [-1, 1], and start, by weights recovery, where
 * the product is nearest to the weights, at a distance from 0: how, is our choice.
 */
export const semiBinaryDecomposition = defineFactorizer({
  name: 'semi-binary-decomposition',
  summary: 'Replaces a layer by two of signs with a scale between them for each of the channels that they share.',
  paper: {
    title: 'Training Binary Weight Networks via Semi-Binary Decomposition',
    authors: 'Hu, Li, Wang, Zhang, Cheng',
    venue: 'ECCV',
    year: 2018,
  },
  options: {
    orientation: z
      .enum(['weights', 'feature-maps'])
      .default('weights')
      .describe('whether factors are to be near the weights, or their outputs near those of the weights on data'),
  },
  codeBits: 1,
  usualBits: 1,
  usualPasses: 0,
  byOutputs: ({ orientation }) => orientation === 'feature-maps',
  training: {
    encode: (draft, latent, literal) =>
      draft.add('Where', [draft.add('GreaterOrEqual', [latent, literal(0)]), literal(1), literal(-1)]),
    clip: 1,
    reach: signReach,
  },
  fit: (task) => (task.hessian ? termByOutputs(task, task.hessian) : alternatingTerm(task, signs)),
})

/** The term that takes most from tr(R H Rᵀ), of those that the starts lead to. */
function termByOutputs(task: TermTask, hessian: Float64Array): Term {
  const { rows, columns, residual, start } = task
  let best: { term: Term; gain: number } | undefined
  for (let v of start ? [start.v] : [alternatingTerm(task, signs).v, ...startingCodes(task, signs.codes, signsOf)]) {
    let found: typeof best
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const u = signsOf(times(residual, rows, times(hessian, columns, v)))
      // |R X - d u vᵀ X|² is that of the mean row z = Rᵀu / T, T times (z - d v)ᵀ H (z - d v), and what u cannot reach.
      const mean = transposedTimes(residual, columns, u).map((sum) => sum / rows)
      const row = binaryRow(hessian, columns, mean, v)
      v = row.signs
      const image = times(hessian, columns, v)
      const gain = innerProduct(mean, image) ** 2 / innerProduct(v, image)
      if (found && gain <= found.gain) break
      found = { term: { u, v, scale: row.scale }, gain }
    }
    if (!best || found!.gain > best.gain) best = found
  }
  return best!.term
}
