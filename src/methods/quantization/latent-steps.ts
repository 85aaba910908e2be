/** Steps that several trained forms are built of. */
import { elementType } from '../../ir/element-type.ts'
import type { LatentWeight } from './trained-form.ts'

type Weight = Pick<LatentWeight<unknown>, 'draft' | 'latent' | 'literal'>

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
