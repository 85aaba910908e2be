import { z } from 'zod'
import { UsageError } from '../errors.ts'

/*
 * `takes` in the metadata of a schema is the word by which help and catalogue name what it reads from text.
 */

/** A number as people write them in a specification: `0.5`, `1e-3`, `1/255`. */
export const numberText = z
  .string()
  .transform((text, context) => {
    const value = parseNumber(text)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: `'${text}' is not a number such as 0.5 or 1/255` })
    return z.NEVER
  })
  .meta({ takes: 'number' })

/** Numbers between commas. */
const numbersText = z
  .string()
  .transform((text, context) => {
    const values = text.split(',').map(parseNumber)
    if (values.every((value) => value !== undefined)) return values
    context.addIssue({ code: 'custom', message: `'${text}' is not a list of numbers such as 104,117,123` })
    return z.NEVER
  })
  .meta({ takes: 'numbers' })

/** A whole number of at least 1. */
export const countText = numberText
  .refine((value) => Number.isInteger(value) && value >= 1, {
    message: 'must be a whole number of at least 1',
  })
  .meta({ takes: 'count' })

/** How many examples to set aside: a fraction up to 1, which is all of them, or a count. */
export const shareText = numberText
  .refine((value) => value >= 0 && (value <= 1 || Number.isInteger(value)), {
    message: 'must be a fraction between 0 and 1 or a whole number of examples',
  })
  .meta({ takes: 'share' })

/** The number of examples that a share of `size` means. */
export function shareCount(share: number, size: number): number {
  return share <= 1 ? Math.round(share * size) : Math.min(share, size)
}

function parseNumber(text: string): number | undefined {
  const [numerator, denominator = '1', ...rest] = text.split('/').map((part) => part.trim())
  if (rest.length > 0 || numerator === '' || denominator === '') return undefined
  const value = Number(numerator) / Number(denominator)
  return Number.isFinite(value) ? value : undefined
}

const range = z
  .string()
  .transform((text, context) => {
    const ends = text.split('..').map(parseNumber)
    if (ends.length === 2 && ends[0] !== undefined && ends[1] !== undefined && ends[0] < ends[1])
      return [ends[0], ends[1]] as const
    context.addIssue({ code: 'custom', message: `'${text}' is not a range such as 0..1 or -1..1` })
    return z.NEVER
  })
  .meta({ takes: 'range' })

/** The options that every kind understands; `value = (raw * scale - mean) / std`, for each channel as it is fed. */
export const commonOptions = {
  scale: numberText.optional().describe('factor on raw values, before mean and std'),
  range: range.optional().describe('instead of scale: where raw values 0 to 255 end up, as in -1..1'),
  mean: numbersText.optional().describe('subtracted after scaling; one number, or one a channel in the order fed'),
  std: numbersText.optional().describe('divided by after the mean; one number, or one a channel in the order fed'),
  validation: shareText
    .optional()
    .describe('part of the training examples set aside for choices: fraction or count (default 0.1, at most 5000)'),
}

/** The options of images in colour. */
export const orderOption = z.enum(['rgb', 'bgr']).default('rgb').describe('order of the colour channels')

export interface Normalisation {
  readonly scale?: number
  readonly range?: readonly [number, number]
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
}

/** `value = raw * factor + offset`, one pair a channel. */
export interface Affine {
  readonly factor: Float64Array
  readonly offset: Float64Array
}

/**
 * Turns options into a factor and an offset a channel.
 * @param defaultScale the scale of this kind of data when neither scale nor range is given.
 * @throws UsageError when the numbers do not fit the channels or each other.
 */
export function normalisation(options: Normalisation, channels: number, defaultScale: number, place: string): Affine {
  if (options.scale !== undefined && options.range !== undefined)
    throw new UsageError('data-option', 'scale and range say the same thing twice', {
      place,
      hint: 'Give one of the two.',
    })
  const perChannel = (key: 'mean' | 'std', fallback: number) => {
    const values = options[key] ?? [fallback]
    if (values.length !== 1 && values.length !== channels)
      throw new UsageError('data-option', `${key} has ${values.length} numbers for ${channels} channels`, {
        place,
        hint: `Give one number, or ${channels}.`,
      })
    return Float64Array.from({ length: channels }, (_, channel) => values[values.length === 1 ? 0 : channel])
  }
  const [low, high] = options.range ?? [0, 0]
  const scale = options.range ? (high - low) / 255 : (options.scale ?? defaultScale)
  const mean = perChannel('mean', 0)
  const std = perChannel('std', 1)
  if (std.includes(0)) throw new UsageError('data-option', 'std has a zero', { place, hint: 'Divide by 1 instead.' })
  return {
    factor: std.map((value) => scale / value),
    offset: mean.map((value, channel) => (low - value) / std[channel]),
  }
}

/** What each of the 256 byte values becomes, a table a channel. */
export function byteTables({ factor, offset }: Affine): readonly Float32Array[] {
  return Array.from(factor, (_, channel) =>
    Float32Array.from({ length: 256 }, (_, raw) => raw * factor[channel] + offset[channel]),
  )
}
