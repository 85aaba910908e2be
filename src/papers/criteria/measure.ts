/** What is measured of one criterion on one network. */
import type { Model } from '../../ir/model.ts'
import { macsOf } from '../../ir/cost.ts'
import type { Context, Method } from '../../methods/method.ts'
import { defineFilterPruner } from '../../methods/pruning/filters/family/family.ts'
import { filtersOfChannels } from '../../methods/pruning/filters/family/pruner.ts'
import { ownOptions } from './networks.ts'
import type { CriterionEntry } from './results.ts'
import { spearman } from './spearman.ts'

/** Scores of channels, by the id of their group. */
export type ChannelScores = ReadonlyMap<string, Float64Array>

/**
 * How well scores agree with the oracle: Spearman over all channels, each layer's scores divided by their L2 norm first
 * (Molchanov et al. 2017, section 3.1), and the mean of that within each layer.
 */
export function agreement(scores: ChannelScores, oracle: ChannelScores): NonNullable<CriterionEntry['spearman']> {
  const ids = [...oracle.keys()].filter((id) => scores.has(id))
  const scaled = (values: Float64Array) => {
    const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
    return Array.from(values, (value) => (norm > 0 ? value / norm : 0))
  }
  const all = spearman(
    ids.flatMap((id) => scaled(scores.get(id)!)),
    ids.flatMap((id) => [...oracle.get(id)!]),
  )
  const each = ids.flatMap((id) => spearman(scores.get(id)!, oracle.get(id)!) ?? [])
  return {
    ...(all === undefined ? {} : { all }),
    ...(each.length === 0 ? {} : { layers: each.reduce((sum, value) => sum + value, 0) / each.length }),
  }
}

/** The options under which all criteria are compared: so many macs, the same share of each layer, one round. */
export function optionsFor(method: Method, macs: number): { readonly refit?: unknown } {
  return method.options.parse({ ...ownOptions[method.name], macs, scope: 'layer', retrain: false }) as object
}

/** The model without a share of its macs, by scores that are known already or as the method chooses. */
export async function pruneBy(
  method: Method,
  scores: ChannelScores | undefined,
  model: Model,
  macs: number,
  context: Context,
): Promise<Model> {
  const options = optionsFor(method, macs)
  if (!scores) return method.apply(model, options, context)
  const known = defineFilterPruner({
    name: method.name,
    summary: method.summary,
    paper: method.paper,
    score: (filters) => filtersOfChannels(filters, scores.get(filters.group.id)!),
  })
  return known.apply(model, known.options.parse({ macs, retrain: false, refit: options.refit }), context)
}

/** The share of the multiply-accumulates that is gone. */
export function macsRemoved(before: Model, after: Model): number {
  const total = (model: Model) => [...macsOf(model).values()].reduce((sum, macs) => sum + macs, 0)
  return 1 - total(after) / total(before)
}
