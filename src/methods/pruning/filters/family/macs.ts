/** How much has to go for a share of the multiply-accumulates to be gone. */
import { UnsupportedError, UsageError } from '../../../../errors.ts'
import { macsOf } from '../../../../ir/cost.ts'
import { cutChannels, type Removals } from '../../../../ir/cut.ts'
import type { Model } from '../../../../ir/model.ts'
import { layers } from '../../../../ir/rewrite.ts'

/** Ever larger removals from a model, numbered from 0. */
export interface Removing {
  readonly cutFrom: Model
  readonly count: number
  removalsAt(step: number): Removals
}

/**
 * The first of ever larger removals after which at least `share` of the model's multiply-accumulates is gone, by bisection.
 * @throws UsageError when not even the last is enough; it says how far that one goes.
 */
export function fewestForMacs(model: Model, share: number, { cutFrom, count, removalsAt }: Removing): number {
  const all = totalMacs(model)
  const goneAt = (step: number) => 1 - totalMacs(cutChannels(cutFrom, removalsAt(step))) / Math.max(1, all)
  const enough = (gone: number) => gone >= share - 1e-9
  const most = count === 0 ? 0 : goneAt(count - 1)
  if (!enough(most))
    throw new UsageError(
      'macs-out-of-reach',
      `${percent(share)} of the multiply-accumulates cannot be removed: at most it is ${percent(most)}`,
      {
        place: 'macs',
        hint: 'Ask for less or for a smaller multiple, or let more layers be pruned: see which were skipped, and why.',
      },
    )
  let [low, high] = [0, Math.max(0, count - 1)]
  while (low < high) {
    const middle = (low + high) >> 1
    if (enough(goneAt(middle))) high = middle
    else low = middle + 1
  }
  return low
}

/** @throws UnsupportedError when those of a layer cannot be told. */
function totalMacs(model: Model): number {
  const known = macsOf(model)
  const unknown = layers(model).find(({ name }) => !known.has(name))
  if (unknown)
    throw new UnsupportedError(
      'macs-unknown',
      `the work of '${unknown.name}' cannot be told: its shapes are not known`,
      {
        place: unknown.name,
        hint: 'Ask for a ratio instead, or export the model with the sizes of its input.',
      },
    )
  return [...known.values()].reduce((sum, macs) => sum + macs, 0)
}

/** Rounded down, so that what is out of reach never reads as if it were reached. */
function percent(share: number): string {
  return `${Math.floor(share * 1000 + 1e-6) / 10} %`
}
