import { recoveringFromRandomPruning } from '../../../paper.ts'
import { createRandom } from '../../../tensor/random.ts'
import { defineFilterPruner } from './family/family.ts'

/**
 * Removes filters by chance: the control that every criterion has to beat. After retraining the gap is often small, which
 * is what the paper says.
 */
export const randomFilters = defineFilterPruner({
  name: 'random-filters',
  summary: 'Removes filters by chance, as the control that every criterion has to beat.',
  paper: recoveringFromRandomPruning,
  scale: 'none',
  score: ({ layer, shape, outAxis, context }) => {
    const random = createRandom(context.seed).fork(`${layer.name} ${shape[outAxis]}`)
    return Float64Array.from({ length: shape[outAxis] }, () => random.uniform())
  },
})
