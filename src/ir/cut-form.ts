/** The form of a graph in which its channels can be followed best, and the way back. */
import { inlineFunctions } from './inline.ts'
import type { Model } from './model.ts'
import { writeSizes } from './open-sizes.ts'
import { joinVectors, separateVectors } from './separate.ts'
import { shufflesAsGathers } from './shuffles.ts'

export interface CutForm {
  readonly model: Model
  /** Undoes what the form changed and a cut did not need. */
  restore(model: Model): Model
}

/** Functions written out, sizes written down, shuffles as permutations, and vectors that layers share by chance apart. */
export function cutForm(model: Model): CutForm {
  const { model: followed, restore } = shufflesAsGathers(writeSizes(inlineFunctions(model)))
  return { model: separateVectors(followed), restore: (changed) => restore(joinVectors(changed)) }
}
