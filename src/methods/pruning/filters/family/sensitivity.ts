import type { Sensitivity } from '../../../method.ts'
import { lowest, scoresOf, type Chooser } from './choice.ts'
import { countOf } from './ratios.ts'
import { withMaskTrials } from './mask-trials.ts'
import { measureShares } from '../../sensitivity.ts'

/** Section 3.2 of Li et al. 2017 prunes each layer alone at such shares. */
const ratios = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

/**
 * Accuracy with each group of channels pruned alone, at shares up to nine in ten, those first that the criterion values least.
 * @throws UsageError when there is no validation data.
 */
export function filterSensitivity({ pruner, groups, model, options, context }: Chooser): Promise<Sensitivity> {
  return withMaskTrials({ model, groups, samples: options.maxLossSamples, context }, async ({ data, measure }) => {
    const scores = pruner.select ? undefined : await scoresOf(groups, model, { pruner, options, context })
    const layers = groups.map((group, i) => ({
      name: group.id,
      size: group.size,
      counts: [...new Set(ratios.map((ratio) => countOf(group.size, ratio)))].filter((count) => count > 0),
      async without(count: number) {
        const plan = [{ group, remove: count }]
        if (!pruner.select) return measure(new Map([[group.id, lowest(scores![i], count)]]))
        return measure(await pruner.select({ model, plan, options, context }))
      },
    }))
    const whole = await measure(new Map())
    const facts = { parts: 'filters' as const, data: data.name, count: data.size, whole, maxLoss: options.maxLoss }
    return measureShares(layers, facts, context)
  })
}
