/** Weights that are trained as their signs, without a scale: what BinaryConnect and the networks after it share. */
import { z } from 'zod'
import type { ScaledCodes } from './quantized-layer.ts'
import { passWithin, signOf, straightThrough } from './latent-steps.ts'
import type { LatentWeight, TrainedForm } from './trained-form.ts'

export const stochasticOption = z
  .boolean()
  .default(false)
  .describe('draw signs at random in training, +1 with probability clip((w + 1) / 2, 0, 1), instead of taking them')

interface Options {
  readonly stochastic: boolean
}

/** sign(w), zero counting as positive: [n] -> codes [n] of 1 and -1, whose scale is 1. */
export function signCodes(weights: Float32Array): ScaledCodes {
  return { codes: Int16Array.from(weights, (weight) => (weight < 0 ? -1 : 1)), scale: 1 }
}

/**
 * Signs in the forward pass, the gradient straight through within [-1, 1], to which latent weights are clipped after
 * each update. Signs that are drawn are those of the weights again outside of training.
 */
export const binaryForm: TrainedForm<Options> = {
  forward: (weight) => straightThrough(weight, signs(weight), passWithin(weight, 1)),
  clip: [-1, 1],
}

function signs(weight: LatentWeight<Options>): string {
  const { draft, latent, literal, options, noise } = weight
  if (!options.stochastic) return signOf(weight)
  const chance = draft.add('Mul', [draft.add('Add', [latent, literal(1)]), literal(0.5)])
  return draft.add('Where', [draft.add('LessOrEqual', [noise(), chance]), literal(1), literal(-1)])
}
