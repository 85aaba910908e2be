import type { Sensitivity } from '../method.ts'
import { lowest, scoresOf, type Chooser } from './filter-choice.ts'
import { countOf } from './filter-ratios.ts'
import { createMaskTrials } from './mask-trials.ts'
import { measureSensitivity } from './sensitivity.ts'

/** Section 3.2 of Li et al. 2017 prunes each layer alone at such shares. */
const ratios = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

/**
 * Accuracy with each group of channels pruned alone, at shares up to nine in ten, those first that the criterion values least.
 * @throws UsageError when there is no validation data.
 */
export async function filterSensitivity({ pruner, groups, model, options, context }: Chooser): Promise<Sensitivity> {
  const ids = groups.map(({ id }) => id)
  const trials = await createMaskTrials(model, ids, options.maxLossSamples, context)
  try {
    const scores = pruner.select ? undefined : await scoresOf(groups, model, { pruner, options, context })
    const whole = await trials.measure(new Map())
    const layers = groups.map((group, i) => ({
      name: group.id,
      size: group.size,
      counts: [...new Set(ratios.map((ratio) => countOf(group.size, ratio)))].filter((count) => count > 0),
      async without(count: number) {
        const plan = [{ group, remove: count }]
        if (!pruner.select) return trials.measure(new Map([[group.id, lowest(scores![i], count)]]))
        return trials.measure(await pruner.select({ model, plan, options, context }))
      },
    }))
    const facts = { unit: 'filters' as const, data: trials.data.name, count: trials.data.size, whole }
    return await measureSensitivity(layers, { ...facts, maxLoss: options.maxLoss }, context)
  } finally {
    await trials.close()
  }
}
