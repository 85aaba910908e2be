/** Steps that several trained forms are built of. */
import { elementType } from '../../../../ir/element-type.ts'
import { float32, int64 } from '../../../../tensor/tensor.ts'
import type { LatentWeight } from './trained-form.ts'

type Weight = LatentWeight<unknown>

/** The value in the latent weight's place; its gradient, times the slope, is that of the latent weight. */
export function straightThrough({ draft, latent }: Weight, value: string, slope?: string): string {
  return draft.add('espalier.StraightThrough', [latent, value, slope])
}

/** 1 or -1 by the sign, zero counting as positive. */
export function signOf({ draft, latent, literal }: Weight): string {
  return draft.add('Where', [draft.add('Less', [latent, literal(0)]), literal(-1), literal(1)])
}

/** 1 where |w| <= bound, otherwise 0. */
export function passWithin(weight: Weight, bound: number): string {
  const { draft, latent, literal } = weight
  return asNumber(weight, draft.add('LessOrEqual', [draft.add('Abs', [latent]), literal(bound)]))
}

/** 1 for true and 0 for false. */
export function asNumber({ draft }: Weight, condition: string): string {
  return draft.add('Cast', [condition], { to: elementType('float32') })
}

/** A value of the shape of the scales, through which no gradient passes. */
export function detached({ draft, reduced }: Weight, value: string): string {
  const zeros = draft.constant('zeros', float32(new Float32Array(reduced.reduce((a, b) => a * b, 1)), reduced))
  return draft.add('espalier.StraightThrough', [zeros, value])
}

/** The largest absolute value for each scale; never zero, so that it can be divided by. */
export function largestSize({ draft, latent, literal, reduce }: Weight, value = latent): string {
  return draft.add('Max', [reduce('Max', draft.add('Abs', [value])), literal(SMALLEST)])
}

/** The smallest normal float32. */
const SMALLEST = 2 ** -126

/** log2 of positive values. */
export function log2({ draft, literal }: Weight, value: string): string {
  const positive = draft.add('Max', [value, literal(SMALLEST)])
  return draft.add('Mul', [draft.add('Log', [positive]), literal(Math.LOG2E)])
}

/** The `most` largest elements for each scale, descending: `[scales, most]`. */
export function largestFirst({ draft, shape, axes, count }: Weight, value: string, most = count): string {
  const rest = [...shape.keys()].filter((axis) => !axes.includes(axis))
  const rows = draft.add('Transpose', [value], { perm: [...rest, ...axes] })
  const flat = draft.add('Reshape', [rows, draft.constant('rows', int64([-1, count]))])
  return draft.addMany('TopK', [flat, draft.constant('most', int64([most]))], {}, { outputs: 2 })[0]
}

/** One element a row, in the shape of the scales. */
export function asScales({ draft, reduced }: Weight, rows: string): string {
  return draft.add('Reshape', [rows, draft.constant('scales', int64(reduced))])
}
