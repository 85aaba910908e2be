import { recoveringFromRandomPruning } from '../../../paper.ts'
import { createRandom } from '../../../tensor/random.ts'
import { defineWeightPruner } from './family/family.ts'

/**
 * The control that every criterion has to beat: which weights go is drawn by lot, the same for the same seed, and what was
 * drawn in one round stays gone in the next.
 *
 * Differs from the paper: it removes filters at random; here it is single weights.
 */
export const randomWeights = defineWeightPruner({
  name: 'random-weights',
  summary: 'Removes weights at random: the control that tells what a criterion is worth.',
  paper: recoveringFromRandomPruning,
  score({ layer, weight, context }) {
    const random = createRandom(context.seed).fork('random-weights').fork(layer.weight)
    return Float32Array.from(weight, () => random.uniform())
  },
})
