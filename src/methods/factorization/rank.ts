/** How many terms a factorization has: by their number, or by the bits that they take. */
import { z } from 'zod'
import { UsageError } from '../../errors.ts'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import { layerOverrides, optionsOfLayer } from '../layer-choice.ts'
import type { WeightRows } from '../weight-rows.ts'

/** The options of which one says how many terms a layer's factors have. */
export const sizeOptions = {
  rank: z.number().int().min(1).max(65_536).optional().describe('terms of a layer, or of each group of a convolution'),
  ratio: z.number().positive().max(1).optional().describe('bits of the factors, as a share of those of the weights'),
  bits: z
    .number()
    .positive()
    .max(16)
    .optional()
    .describe('bits of the factors and scales, for each weight of the layer: as many terms as stay within'),
}

/** The options of a method that chooses ranks. */
export const rankOptions = { ...sizeOptions, layers: layerOverrides(sizeOptions) }

type Sizes = { rank?: number | undefined; ratio?: number | undefined; bits?: number | undefined }
export type RankOptions = Sizes & { layers?: Record<string, Sizes> | undefined }

/** What a layer's factors take. */
export interface FactorBits {
  /** Of a code. */
  readonly code: number
  /** Of a scale, and of a weight as it is now. */
  readonly scale: number
}

/** Bits that the factors of a layer take with so many terms: codes of rows and columns, and a scale each. */
export function bitsOfRank({ count, length, groups }: WeightRows, rank: number, bits: FactorBits): number {
  return groups * rank * (bits.code * (length + count / groups) + bits.scale)
}

/**
 * The terms that a layer gets: what an entry of `layers` says of it goes before what is said for all. 0 where not even one
 * stays within the bits.
 * @param usual bits a weight where nothing is said.
 * @throws UsageError when two of the options are given in one place.
 */
export function rankOf(
  model: Model,
  layer: Layer,
  rows: WeightRows,
  options: RankOptions,
  bits: FactorBits,
  usual: number,
): number {
  const own = optionsOfLayer<RankOptions>({ layers: options.layers }, layer, model)
  const said = [own, options].find((place) => given(place).length > 0)
  if (said && given(said).length > 1)
    throw new UsageError('factorization-size', `${given(said).join(' and ')} both say how many terms there are`, {
      place: said === own ? layer.name : given(said)[1],
      hint: 'Give one of rank, ratio and bits.',
    })
  if (said?.rank !== undefined) return said.rank
  const perWeight = said?.ratio === undefined ? (said?.bits ?? usual) : said.ratio * bits.scale
  return Math.floor((perWeight * rows.count * rows.length) / bitsOfRank(rows, 1, bits))
}

function given(sizes: Sizes): string[] {
  return (['rank', 'ratio', 'bits'] as const).filter((name) => sizes[name] !== undefined)
}

/** At strength 0 twice as many terms or bits as asked for, at 2 half as many. */
export function weakerRank<Options extends RankOptions>(options: Options, strength: number, usual: number): Options {
  const factor = 2 ** (1 - strength)
  const scaled = (sizes: Sizes): Sizes => ({
    ...(sizes.rank === undefined ? {} : { rank: Math.min(65_536, Math.max(1, Math.round(sizes.rank * factor))) }),
    ...(sizes.ratio === undefined ? {} : { ratio: Math.min(1, sizes.ratio * factor) }),
    ...(sizes.bits === undefined ? {} : { bits: Math.min(16, sizes.bits * factor) }),
  })
  const said = given(options).length > 0 || strength === 1 ? options : { ...options, bits: usual }
  const layers = options.layers && Object.entries(options.layers).map(([name, sizes]) => [name, scaled(sizes)] as const)
  return { ...options, ...scaled(said), ...(layers ? { layers: Object.fromEntries(layers) } : {}) }
}
