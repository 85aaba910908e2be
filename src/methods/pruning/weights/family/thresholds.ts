/** How many weights go, and the masks that a number and scores make. */
import { UsageError } from '../../../../errors.ts'
import type { Model } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { optionsOfLayer } from '../../../layer-choice.ts'
import { deviation } from '../../../weights.ts'
import type { Units } from './patterns.ts'
import { sparsitySchedules } from '../../rounds.ts'
import type { PruningOptions, WeightAmount } from './options.ts'

/** What is removed from a layer: `common`, unless an override says otherwise, of which one amount sets the other aside. */
export function amountOf(
  options: PruningOptions,
  layer: Layer,
  model: Model,
  common: WeightAmount = options,
): WeightAmount {
  const bare: PruningOptions = { ...options, sparsity: undefined, quality: undefined }
  const own = optionsOfLayer(bare, layer, model)
  return own.sparsity === undefined && own.quality === undefined ? common : own
}

/** @throws UsageError when an option removes a whole layer, naming it. */
export function assertSomethingStays(layers: readonly Layer[], options: PruningOptions, model: Model): void {
  const empty = layers.find((layer) => amountOf(options, layer, model).sparsity === 1)
  if (!empty) return
  throw new UsageError('removes-whole-layer', `a sparsity of 1 removes all weights of '${empty.name}'`, {
    place: empty.name,
    hint: 'Ask for less, such as 0.99, or exclude the layer.',
  })
}

/** How far pruning has come: t from 0 to 1, and how the amount grows with it. */
export interface Progress extends Pick<PruningOptions, 'schedule'> {
  readonly t: number
}

/**
 * How many of the weights are zero at time t, those included that are zero before. Section 3.1 of Han et al. 2015: as many
 * as are below quality × σ, σ being the deviation of the weights that are left; with a sparsity exactly that share.
 */
export function removedAt(
  weights: readonly Float32Array[],
  { sparsity, quality = 1 }: WeightAmount,
  { t, schedule }: Progress,
): number {
  const size = weights.reduce((sum, { length }) => sum + length, 0)
  if (sparsity !== undefined) return Math.round(sparsitySchedules[schedule](sparsity, t) * size)
  const threshold = quality * t * deviation(...weights)
  let count = 0
  for (const values of weights) for (const value of values) if (Math.abs(value) < threshold || value === 0) count++
  return count
}

/** What a criterion makes of a layer: one score a weight, finite and not negative. */
export interface Scored {
  readonly scores: Float32Array
  /** Sets of weights that stay or go together. */
  readonly units: Units | undefined
}

/**
 * Masks, 1 where a weight stays, without the share of all weights, or sets of weights, whose scores are lowest; of equal
 * ones the first go. The scores of single weights are overwritten: a large model has no room for both.
 */
export function masksBelow(scored: readonly Scored[], share: number): Float32Array[] {
  const sums = scored.map(({ scores, units }) => (units ? summed(scores, units) : scores))
  const remove = Math.round(share * sums.reduce((sum, { length }) => sum + length, 0))
  const { threshold, ties } = thresholdOf(sums, remove)
  let left = ties
  return scored.map(({ scores, units }, at) => {
    const stays = sums[at]
    for (let i = 0; i < stays.length; i++)
      stays[i] = stays[i] < threshold || (stays[i] === threshold && left-- > 0) ? 0 : 1
    return units ? scores.map((_, i) => stays[units.of[i]]) : stays
  })
}

/** The mask of a pattern N:M: the best of each set stay; before the last round more than these. */
export function maskOfRows(scores: Float32Array, { of, keep, count }: Required<Units>, progress: Progress) {
  const members: number[][] = Array.from({ length: count }, () => [])
  for (let i = 0; i < scores.length; i++) members[of[i]].push(i)
  const mask = new Float32Array(scores.length)
  const grow = sparsitySchedules[progress.schedule]
  for (const [unit, places] of members.entries()) {
    const share = grow(1 - keep[unit] / places.length, progress.t)
    const best = places.toSorted((a, b) => scores[b] - scores[a] || b - a)
    for (const place of best.slice(0, places.length - Math.round(share * places.length))) mask[place] = 1
  }
  return mask
}

/** Where the largest score of single weights is, and where whole sets count, of all that belong to the best of them. */
export function bestOf({ scores, units }: Scored): number[] {
  const sums = units && !units.keep ? summed(scores, units) : scores
  let best = 0
  for (let i = 1; i < sums.length; i++) if (sums[i] > sums[best]) best = i
  if (sums === scores) return [best]
  return [...units!.of.keys()].filter((i) => units!.of[i] === best)
}

function summed(scores: Float32Array, { count, of }: Units): Float32Array {
  const sums = new Float64Array(count)
  for (let i = 0; i < scores.length; i++) sums[of[i]] += scores[i]
  return Float32Array.from(sums)
}

/** All bits of a number but its sign. */
const MAGNITUDE = 0x7fffffff

/**
 * The largest score that goes when the `remove` lowest do, and how many of that score go. Scores that are not negative are
 * ordered like their bits, so that two counts, of the upper and of the lower half of the bits, find it without sorting.
 */
function thresholdOf(scores: readonly Float32Array[], remove: number): { threshold: number; ties: number } {
  if (remove <= 0) return { threshold: -1, ties: 0 }
  const bits = scores.map((part) => new Uint32Array(part.buffer, part.byteOffset, part.length))
  const counts = new Uint32Array(2 ** 16)
  for (const part of bits) for (const value of part) counts[(value & MAGNITUDE) >>> 16]++
  const upper = reach(counts, remove)
  counts.fill(0)
  for (const part of bits)
    for (const value of part) if ((value & MAGNITUDE) >>> 16 === upper.at) counts[value & 0xffff]++
  const lower = reach(counts, upper.left)
  const threshold = new Float32Array(Uint32Array.of(upper.at * 2 ** 16 + lower.at).buffer)[0]
  return { threshold, ties: lower.left }
}

/** Where the running sum of `counts` reaches `wanted`, and how many of that place are wanted. */
function reach(counts: Uint32Array, wanted: number): { at: number; left: number } {
  let left = wanted
  for (const [at, count] of counts.entries()) {
    if (count >= left) return { at, left }
    left -= count
  }
  return { at: counts.length - 1, left }
}
