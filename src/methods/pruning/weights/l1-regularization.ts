import { z } from 'zod'
import { toFloat32 } from '../../../tensor/half.ts'
import { layerChoiceOptions, layerOverrides, optionsOfLayer } from '../../layer-choice.ts'
import { defineMethod } from '../../method.ts'
import { withMasksApplied } from '../../masks.ts'
import { retrainMasked } from '../rounds.ts'
import {
  assertAlive,
  reportFull,
  scaledOverrides,
  sparseLayers,
  sparseTrainingOptions,
  trainShrinking,
  type Shrink,
} from '../sparse-training.ts'

const MOST = 10

const ownOptions = {
  lambda: z
    .number()
    .min(0)
    .max(MOST)
    .default(1e-5)
    .describe('what the absolute value of a weight costs, in units of the loss'),
}

const options = z.strictObject({
  ...ownOptions,
  threshold: z.number().min(0).default(0).describe('weights that are not larger go too, after the training'),
  ...sparseTrainingOptions,
  ...layerChoiceOptions,
  layers: layerOverrides({ lambda: ownOptions.lambda.unwrap() }),
})

/**
 * Collins and Kohli 2014, section 3.2: iterative shrinkage. Each update of the loss is followed by the proximal step of
 * λ Σ |w|, w ← sign(w) · max(|w| − η λ, 0), in which weights become exactly zero; afterwards those that are left train on
 * without the penalty, which had made all of them too small.
 *
 * Differs from the paper: with momentum the step of the penalty is η / (1 − momentum), as long as that of a gradient that
 * stays the same, so that λ means what it means in the loss.
 */
export const l1Regularization = defineMethod({
  name: 'l1-regularization',
  family: 'pruning',
  summary: 'Trains with a penalty on absolute values that makes weights vanish, and retrains the others without it.',
  paper: {
    title: 'Memory Bounded Deep Convolutional Networks',
    authors: 'Collins, Kohli',
    venue: 'arXiv preprint',
    year: 2014,
    arxiv: '1412.1442',
  },
  needs: ['training-data', 'gradients'],
  options,
  async apply(model, written, context) {
    const chosen = sparseLayers(model, written, context)
    if (chosen.length === 0) return model
    const shrinks = new Map(
      chosen.map((layer) => [layer.weight, softThreshold(optionsOfLayer(written, layer, model).lambda)]),
    )
    const trained = await trainShrinking(model, shrinks, written, context)
    const masks = new Map(
      chosen.map(({ weight }) => {
        const values = toFloat32(trained.graph.initializers.get(weight)!)
        return [weight, values.map((value) => (Math.abs(value) > written.threshold ? 1 : 0))]
      }),
    )
    const sparse = withMasksApplied(trained, masks)
    assertAlive(sparse, chosen, 'Lower lambda or threshold, or exclude the layer.')
    reportFull(sparse, chosen, context)
    return retrainMasked(sparse, masks, { ...written.retrain, ...written.finish }, context, 'retrain')
  },
  strength: (written, s) => ({
    ...written,
    lambda: Math.min(MOST, written.lambda * s * s),
    ...(written.layers ? { layers: scaledOverrides(written.layers, s * s, MOST) } : {}),
  }),
})

/** w ← sign(w) · max(|w| − step, 0). */
function softThreshold(lambda: number): Shrink {
  return (draft, value, step) => {
    const left = draft.add('Relu', [draft.add('Sub', [draft.add('Abs', [value]), step(lambda)])])
    return draft.add('Mul', [draft.add('Sign', [value]), left])
  }
}
