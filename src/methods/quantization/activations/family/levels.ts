/** The check that quantized activations take no more values than their bits can say. */
import type { Model } from '../../../../ir/model.ts'
import { layers } from '../../../../ir/rewrite.ts'
import type { Context } from '../../../method.ts'
import { dataInput } from './placement.ts'
import { watchValues } from './statistics.ts'
import type { ActivationOptions, Site } from './family.ts'

/** Examples that are enough to see a value too many. */
const MOST_EXAMPLES = 32

/**
 * Runs the result on training examples, counts the values that layers read, and tells the report; also which layers
 * read nothing negative any more where they did in `original`.
 */
export async function proveLevels(
  name: string,
  original: Model,
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
  const examples = Math.min(samples, MOST_EXAMPLES)
  await watchValues(model, [...most.keys()], data, examples, context, (value, numbers) => {
    const known = seen.get(value)!
    // One more than allowed is as bad as thousands; a set of these need not be kept.
    for (const number of numbers) if (known.size <= most.get(value)!.count) known.add(number)
  })
  const wrong = [...most].find(([value, { count }]) => seen.get(value)!.size > count)
  if (wrong) {
    const detail = `layer '${wrong[1].layer}' reads more than ${wrong[1].count} different values`
    context.proved({ check, passed: false, detail })
    return
  }
  const before = layers(original).filter(({ name: layer }) => {
    const value = read.includes(layer) ? now.get(layer) : undefined
    return value !== undefined && Math.min(...seen.get(value)!) >= 0
  })
  const negative = new Set<string>()
  if (before.length > 0)
    await watchValues(original, [...new Set(before.map(dataInput))], data, examples, context, (value, numbers) => {
      if (numbers.some((number) => number < 0)) negative.add(value)
    })
  const cut = before.filter((layer) => negative.has(dataInput(layer))).map((layer) => layer.name)
  const lost = `; ${cut.join(', ')} read negative values before, without a ReLU in front, and now 0 in their place`
  context.proved({ check, passed: true, detail: cut.length > 0 ? what + lost : what })
}
