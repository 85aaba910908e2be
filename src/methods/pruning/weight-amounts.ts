/** How many weights go, and the masks that a number and scores make. */
import { z } from 'zod'
import { UsageError } from '../../errors.ts'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import { optionsOfLayer } from '../layer-choice.ts'
import type { Context } from '../method.ts'
import { deviation } from '../weights.ts'
import type { PruningOptions } from './family.ts'
import { parsePattern, type Units } from './patterns.ts'
import { sparsitySchedules } from './rounds.ts'

/** The options that say how many weights go, of all layers or of one. */
export const weightAmountOptions = {
  sparsity: z.number().min(0).max(1).optional().describe('share of the weights to remove'),
  quality: z
    .number()
    .min(0)
    .optional()
    .describe('remove as many as are below this factor times the standard deviation of the weights'),
}

export type WeightAmount = Pick<PruningOptions, 'sparsity' | 'quality'>

/** A layer with what a criterion makes of its weights. */
export interface ScoredLayer {
  readonly layer: Layer
  readonly weight: Float32Array
  /** One a weight, finite and not negative. */
  readonly scores: Float32Array
  readonly units: Units | undefined
}

/** What is removed from a layer. An override of one amount sets the other aside. */
export function amountOf(options: PruningOptions, layer: Layer, model: Model): WeightAmount {
  const { layers } = options
  const own = optionsOfLayer<PruningOptions>(
    { ...options, sparsity: undefined, quality: undefined, layers },
    layer,
    model,
  )
  return own.sparsity === undefined && own.quality === undefined ? options : own
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

/**
 * How many weights are zero at time t, those included that are zero before. Section 3.1 of Han et al. 2015: so many as are
 * below quality × σ, σ being the deviation of the weights that are left; with a sparsity exactly that share; with N:M what
 * the pattern says.
 */
export function removedAt(
  weight: Float32Array,
  { sparsity, quality = 1 }: WeightAmount,
  t: number,
  schedule: PruningOptions['schedule'],
  units?: Units,
): number {
  if (units?.keep) return weight.length - units.keep.reduce((sum, keep) => sum + keep, 0)
  if (sparsity !== undefined) return Math.round(sparsitySchedules[schedule](sparsity, t) * weight.length)
  const threshold = quality * t * deviation(weight)
  let count = 0
  for (const value of weight) if (Math.abs(value) < threshold || value === 0) count++
  return count
}

/** The masks at time t, by weight: 1 where the weight stays. */
export function masksWithin(
  scored: readonly ScoredLayer[],
  options: PruningOptions,
  model: Model,
  t: number,
  context: Context,
): Map<string, Float32Array> {
  const masks =
    options.scope === 'global'
      ? globalMasks(scored, options, t)
      : scored.map((layer) => layerMask(layer, amountOf(options, layer.layer, model), options, t))
  const result = new Map<string, Float32Array>()
  for (const [i, { layer, scores, units }] of scored.entries()) {
    if (keepBest(masks[i], scores, units) && t === 1)
      context.skip(layer.name, 'all of its weights were to go: the best of them stays')
    result.set(layer.weight, masks[i])
  }
  return result
}

function layerMask(scored: ScoredLayer, amount: WeightAmount, options: PruningOptions, t: number): Float32Array {
  const { weight, units } = scored
  if (units?.keep) return bestOfEach(scored, { ...units, keep: units.keep }, options, t)
  const remove = removedAt(weight, amount, t, options.schedule)
  return maskOf([scored], remove / weight.length)[0]
}

function globalMasks(scored: readonly ScoredLayer[], options: PruningOptions, t: number): Float32Array[] {
  const size = scored.reduce((sum, { weight }) => sum + weight.length, 0)
  const all = new Float32Array(options.sparsity === undefined ? size : 0)
  let offset = 0
  if (all.length > 0)
    for (const { weight } of scored) {
      all.set(weight, offset)
      offset += weight.length
    }
  const share = options.sparsity === undefined ? removedAt(all, options, t, options.schedule) / size : undefined
  return maskOf(scored, share ?? sparsitySchedules[options.schedule](options.sparsity!, t))
}

/** Masks without the share of all units whose scores are lowest, of equal ones the first. */
function maskOf(scored: readonly ScoredLayer[], share: number): Float32Array[] {
  const sums = scored.map(({ scores, units }) => (units ? summed(scores, units) : scores))
  const remove = Math.round(share * sums.reduce((sum, { length }) => sum + length, 0))
  const { threshold, ties } = thresholdOf(sums, remove)
  let left = ties
  return scored.map(({ units }, i) => {
    const stays = sums[i].map((score) => (score < threshold || (score === threshold && left-- > 0) ? 0 : 1))
    return units ? Float32Array.from(units.of, (unit) => stays[unit]) : stays
  })
}

function summed(scores: Float32Array, { count, of }: Units): Float32Array {
  const sums = new Float64Array(count)
  for (let i = 0; i < scores.length; i++) sums[of[i]] += scores[i]
  return Float32Array.from(sums)
}

/** The bits of a score that is not negative, as a number of the same order. */
const SIGN = 0x7fffffff

/**
 * The largest score that goes when the `remove` lowest do, and how many of that score go. Scores that are not negative are
 * ordered like their bits, so that two counts, of the upper and the lower half of the bits, find it without sorting.
 */
function thresholdOf(scores: readonly Float32Array[], remove: number): { threshold: number; ties: number } {
  if (remove <= 0) return { threshold: -1, ties: 0 }
  const bits = scores.map((part) => new Uint32Array(part.buffer, part.byteOffset, part.length))
  const counts = new Uint32Array(2 ** 16)
  for (const part of bits) for (const value of part) counts[(value & SIGN) >>> 16]++
  const upper = reach(counts, remove)
  counts.fill(0)
  for (const part of bits) for (const value of part) if ((value & SIGN) >>> 16 === upper.at) counts[value & 0xffff]++
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

/** Keeps the best `keep` of each unit; before the last round more than these. */
function bestOfEach(
  { weight, scores }: ScoredLayer,
  { of, keep, count }: Required<Units>,
  { schedule }: PruningOptions,
  t: number,
): Float32Array {
  const members: number[][] = Array.from({ length: count }, () => [])
  for (let i = 0; i < weight.length; i++) members[of[i]].push(i)
  const mask = new Float32Array(weight.length)
  for (const [unit, places] of members.entries()) {
    const removed = places.length - keep[unit]
    const grown = Math.round(sparsitySchedules[schedule](removed / places.length, t) * places.length)
    const best = places.toSorted((a, b) => scores[b] - scores[a] || a - b)
    for (const place of best.slice(0, places.length - grown)) mask[place] = 1
  }
  return mask
}

/** Keeps the weight, or the whole unit, with the largest score where nothing stays; whether it had to. */
function keepBest(mask: Float32Array, scores: Float32Array, units: Units | undefined): boolean {
  if (mask.length === 0 || mask.includes(1)) return false
  const sums = units ? summed(scores, units) : scores
  let best = 0
  for (let i = 1; i < sums.length; i++) if (sums[i] > sums[best]) best = i
  for (let i = 0; i < mask.length; i++) if ((units ? units.of[i] : i) === best) mask[i] = 1
  return true
}

/** At strength s the share of kept weights is raised to the power s; a quality factor is multiplied by it. */
export function strengthened(options: PruningOptions, s: number): PruningOptions {
  if (parsePattern(options.pattern)?.kind === 'n-of-m') return options
  const scaled = <A extends { sparsity?: number; quality?: number }>(amounts: A): A => ({
    ...amounts,
    ...(amounts.sparsity === undefined ? {} : { sparsity: 1 - (1 - amounts.sparsity) ** s }),
    ...(amounts.quality === undefined ? {} : { quality: amounts.quality * s }),
  })
  const base = options.sparsity === undefined && options.quality === undefined ? { ...options, quality: 1 } : options
  const layers =
    options.layers && Object.fromEntries(Object.entries(options.layers).map(([key, o]) => [key, scaled(o)]))
  return { ...scaled(base), layers }
}
