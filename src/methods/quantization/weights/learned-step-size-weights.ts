import { float } from '../../../ir/draft.ts'
import { learnedStepSizeQuantization } from '../../../paper.ts'
import { meanMagnitude } from '../../../tensor/magnitudes.ts'
import { bitsOption, defineWeightQuantizer } from './family/family.ts'

/** Steps are kept above this in training. */
const LEAST = 2 ** -20

/**
 * Multiples of a step that is trained with the weights, from -2^(bits-1) to 2^(bits-1) - 1 times it: section 2. The
 * step starts at 2 E|w| / sqrt(Q_P), which is also what weights get that are not trained, and its gradient is scaled by
 * 1 / sqrt(N Q_P), N the weights that share it (section 2.2). Activations are `learned-step-size`. The paper has 8
 * bits in the first and the last layer, which `layers` can set.
 */
export const learnedStepSizeWeights = defineWeightQuantizer({
  name: 'learned-step-size-weights',
  summary: 'Makes weights multiples of a step that is trained with them.',
  paper: learnedStepSizeQuantization,
  granularity: 'tensor',
  options: { bits: bitsOption(2, 8, 4) },
  precision: 'bits',
  quantize: (weights, { bits }) => onSteps(weights, firstStep(weights, bits), bits),
  trained: {
    forward({ draft, latent, count, options: { bits }, literal, parameter }) {
      const trained = parameter('step', (weights) => firstStep(weights, bits))
      const step = draft.add('espalier.ClipPassThrough', [trained, literal(LEAST)])
      const high = highest(bits)
      const attributes = { low: -high - 1, high, gradient_scale: float(1 / Math.sqrt(count * high)) }
      return draft.add('espalier.LearnedStepQuantize', [latent, step], attributes)
    },
    freeze: (weights, own, { bits }) => onSteps(weights, Math.max(own.get('step')!, LEAST), bits),
  },
})

/** Q_P; Q_N is one more. */
function highest(bits: number): number {
  return 2 ** (bits - 1) - 1
}

function firstStep(weights: Float32Array, bits: number): number {
  return Math.fround((2 * meanMagnitude(weights)) / Math.sqrt(highest(bits)))
}

function onSteps(weights: Float32Array, scale: number, bits: number) {
  const high = highest(bits)
  return {
    scale,
    codes: Int16Array.from(weights, (weight) => Math.min(high, Math.max(-high - 1, Math.round(weight / scale)))),
  }
}
