import { z } from 'zod'
import { createRandom } from '../../../tensor/random.ts'
import { defineFilterPruner } from './family/family.ts'
import { better, randomChannels, samplesOption, tryMask, withMaskTrials, type Trial } from './family/mask-trials.ts'

/**
 * Tries so many random choices of channels and takes the one with which the model errs least, before any retraining. The
 * more is to go, the more trials are worth while; each runs the model over the samples, which is slow.
 *
 * Differs from the paper: feature maps only, not single kernels; of choices that err alike the one with the lower loss wins.
 */
export const randomMasks = defineFilterPruner({
  name: 'random-masks',
  summary: 'Removes the best of many random choices of filters, each tried on validation data, which is slow.',
  paper: {
    title: 'Coarse Pruning of Convolutional Neural Networks with Random Masks',
    authors: 'Anwar, Sung',
    venue: 'arXiv (as Compact Deep Convolutional Neural Networks With Coarse Pruning)',
    year: 2016,
    arxiv: '1610.09639',
  },
  needs: ['calibration-data'],
  options: {
    trials: z.number().int().min(1).max(100_000).default(100).describe('random choices to try, N'),
    samples: samplesOption,
  },
  select({ model, plan, options, context }) {
    const random = createRandom(context.seed).fork('random-masks')
    const groups = plan.map(({ group }) => group)
    return withMaskTrials({ model, groups, samples: options.samples, context }, async (trials) => {
      let best: Trial | undefined
      for (let done = 1; done <= options.trials; done++) {
        const trial = await tryMask(trials, randomChannels(plan, random))
        best = best ? better(best, trial) : trial
        const detail = { accuracy: best.accuracy }
        context.progress?.({ task: 'random masks', done, total: options.trials, detail })
      }
      return best!.removals
    })
  },
})
