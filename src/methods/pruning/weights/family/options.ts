/** The options of every weight pruner. */
import { z } from 'zod'
import { layerChoiceOptions, layerOverrides } from '../../../layer-choice.ts'
import { refitOption, type RefitOption } from '../../../refit.ts'
import { parsePattern, patternOption } from './patterns.ts'
import { retrainedBetween, roundOptions } from '../../rounds.ts'
import { scopeOption } from '../../scope.ts'
import { pruningLossOptions } from '../../sensitivity.ts'

export type { RefitOption } from '../../../refit.ts'

const amount = {
  sparsity: z.number().min(0).max(1).optional().describe('share of the weights to remove'),
  quality: z
    .number()
    .min(0)
    .optional()
    .describe('remove as many as are below this factor times the standard deviation of the weights'),
}

/** How much is removed; 'quality' 1 where nothing is said. */
export interface WeightAmount {
  readonly sparsity?: number
  readonly quality?: number
}

const options = {
  ...amount,
  ...pruningLossOptions,
  scope: scopeOption,
  pattern: patternOption,
  refit: refitOption.default(false),
  ...roundOptions,
  ...layerChoiceOptions,
  layers: layerOverrides(amount),
}

export type PruningOptions = z.infer<z.ZodObject<typeof options>>

/** The family's options, with `own` ones and with the refit that holds where nothing is said, and what excludes what. */
export function pruningOptions(own: z.ZodRawShape = {}, refit: RefitOption = false): z.ZodType<PruningOptions> {
  const rows = ({ pattern }: PruningOptions) => parsePattern(pattern)?.kind === 'n-of-m'
  return z
    .strictObject({ ...own, ...options, refit: refitOption.default(refitOption.parse(refit)) })
    .refine(
      ({ sparsity, quality, maxLoss }) => [sparsity, quality, maxLoss].filter((each) => each !== undefined).length <= 1,
      { message: 'sparsity, quality and maxLoss exclude each other', path: ['quality'] },
    )
    .refine(({ scope, maxLoss }) => scope === 'layer' || maxLoss === undefined, {
      message: 'maxLoss looks at each layer alone, and scope: global at all at once',
      path: ['maxLoss'],
    })
    .refine((all) => !rows(all) || !hasAmount(all), {
      message: 'a pattern N:M says itself how many weights go: it goes with no amount',
      path: ['pattern'],
    })
    .refine((all) => !rows(all) || all.scope === 'layer', {
      message: 'a pattern N:M holds in each row: it needs scope: layer',
      path: ['scope'],
    })
    .refine(...retrainedBetween)
}

/** Whether something is said about how much goes, of all layers or of one. */
function hasAmount({ layers = {}, maxLoss, ...all }: PruningOptions): boolean {
  if (maxLoss !== undefined) return true
  return [all, ...Object.values(layers)].some(
    ({ sparsity, quality }: WeightAmount) => sparsity !== undefined || quality !== undefined,
  )
}

/** At strength s the share of kept weights is raised to the power s; a quality factor or a loss is multiplied by it. */
export function strengthened(given: PruningOptions, s: number): PruningOptions {
  // N:M is as strong as it is.
  if (parsePattern(given.pattern)?.kind === 'n-of-m') return given
  const scaled = <A extends WeightAmount>(amounts: A): A => ({
    ...amounts,
    ...(amounts.sparsity === undefined ? {} : { sparsity: 1 - (1 - amounts.sparsity) ** s }),
    ...(amounts.quality === undefined ? {} : { quality: amounts.quality * s }),
  })
  const { sparsity, quality, maxLoss } = given
  const bare = [sparsity, quality, maxLoss].every((amount) => amount === undefined)
  const base = bare ? { ...given, quality: 1 } : given
  const layers = given.layers && Object.fromEntries(Object.entries(given.layers).map(([key, o]) => [key, scaled(o)]))
  return { ...scaled(base), layers, ...(maxLoss === undefined ? {} : { maxLoss: Math.min(100, maxLoss * s) }) }
}
