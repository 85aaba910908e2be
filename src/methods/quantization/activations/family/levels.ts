/** The check that quantized activations take no more values than their bits can say. */
import type { Model } from '../../../../ir/model.ts'
import { layers } from '../../../../ir/rewrite.ts'
import type { Context } from '../../../method.ts'
import { dataInput } from './placement.ts'
import { watchValues } from './statistics.ts'
import type { ActivationOptions, Site } from './family.ts'

/** Examples that are enough to see a value too many. */
const MOST_EXAMPLES = 32

/** Runs the result on training examples, counts the values that layers read, and tells the report. */
export async function proveLevels(
  name: string,
  model: Model,
  sites: readonly Site[],
  levels: (options: ActivationOptions) => number,
  samples: number,
  context: Context,
): Promise<void> {
  if (!context.proved) return
  const check = `${name}: layers read few-valued inputs`
  const counts = [...new Set(sites.map(({ options }) => levels(options)))].toSorted((a, b) => a - b)
  const read = sites.flatMap((site) => site.layers.map((layer) => layer.name))
  const what = `${read.length} layers read at most ${counts.join(' or ')} values: ${read.join(', ')}`
  const data = context.data?.train
  if (!data || data.size === 0) {
    context.proved({ check, passed: true, leftOut: true, detail: `${what}; not run, for there is no data` })
    return
  }
  const now = new Map(layers(model).map((layer) => [layer.name, dataInput(layer)]))
  const most = new Map(
    sites.flatMap((site) =>
      site.layers.map(({ name: layer }) => [now.get(layer)!, { layer, count: levels(site.options) }]),
    ),
  )
  const seen = new Map([...most.keys()].map((value) => [value, new Set<number>()]))
  await watchValues(model, [...most.keys()], data, Math.min(samples, MOST_EXAMPLES), context, (value, numbers) => {
    const known = seen.get(value)!
    // One more than allowed is as bad as thousands; a set of these need not be kept.
    for (const number of numbers) if (known.size <= most.get(value)!.count) known.add(number)
  })
  const wrong = [...most].find(([value, { count }]) => seen.get(value)!.size > count)
  const detail = wrong ? `layer '${wrong[1].layer}' reads more than ${wrong[1].count} different values` : what
  context.proved({ check, passed: wrong === undefined, detail })
}
