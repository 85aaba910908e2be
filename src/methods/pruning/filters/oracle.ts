import { z } from 'zod'
import type { ChannelGroup } from '../../../ir/channel-groups.ts'
import type { Model } from '../../../ir/model.ts'
import { resourceEfficientInference } from '../../../paper.ts'
import type { Context } from '../../method.ts'
import { defineFilterPruner } from './family/family.ts'
import { filtersOfChannels } from './family/pruner.ts'
import { samplesOption, withMaskTrials } from './family/mask-trials.ts'

/**
 * Switches off one channel after the other and measures what the loss does: what every other criterion estimates. It runs
 * the model once for each channel, so it is slow: a network of 400 channels is run over 401 times the samples.
 *
 * Differs from the paper: channels that can only go together are switched off together, and the loss is measured on
 * validation data.
 */
export const oracle = defineFilterPruner({
  name: 'oracle',
  summary: 'Removes the filters whose removal changes the loss least, measured for each one alone, which is slow.',
  paper: resourceEfficientInference,
  needs: ['calibration-data'],
  options: {
    samples: samplesOption,
    change: z
      .enum(['absolute', 'signed'])
      .default('absolute')
      .describe('absolute: any change of the loss is a score; signed: filters whose removal lowers it go first'),
  },
  // The changes of all layers are in the same unit.
  scale: 'none',
  prepare: ({ model, groups, options, context }) => leaveOneOut(model, groups, options.samples, context),
  // Section 2.1: oracle-loss is C(W') - C(W), oracle-abs its absolute value.
  score: (filters) => {
    const changes = filters.prepared.get(filters.group.id)!
    return filtersOfChannels(filters, filters.options.change === 'signed' ? changes : changes.map(Math.abs))
  },
})

/** What the loss gains when a channel is switched off, in nats, for each channel of each group. */
export function leaveOneOut(
  model: Model,
  groups: readonly ChannelGroup[],
  samples: number,
  context: Context,
): Promise<ReadonlyMap<string, Float64Array>> {
  return withMaskTrials({ model, groups, samples, context }, async ({ measure }) => {
    const total = groups.reduce((sum, { size }) => sum + size, 0)
    const { loss } = await measure(new Map())
    const changes = new Map<string, Float64Array>()
    let done = 0
    for (const { id, size } of groups) {
      const own = new Float64Array(size)
      changes.set(id, own)
      for (let channel = 0; channel < size; channel++) {
        own[channel] = (await measure(new Map([[id, [channel]]]))).loss - loss
        context.progress?.({ task: 'oracle', done: ++done, total })
      }
    }
    return changes
  })
}
