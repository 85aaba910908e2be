import { z } from 'zod'
import { UnsupportedError } from '../../../errors.ts'
import type { Model } from '../../../ir/model.ts'
import { addToInverse } from '../../../tensor/linalg.ts'
import { calibrationSet } from '../../calibration.ts'
import type { Context } from '../../method.ts'
import { createPace } from '../../pace.ts'
import { forEachGradient } from '../../weight-gradients.ts'
import { defineWeightPruner, type LayersToSelect, type LayerToPrune } from './family/family.ts'
import { createSurgeon } from './family/surgeon.ts'

/** The inverse Hessian of so many weights takes 128 MiB, and the whole method two minutes or so of one core. */
const MOST_WEIGHTS = 4096

const ownOptions = {
  samples: z.number().int().min(1).max(100_000).default(512).describe('examples that the Hessian is estimated from'),
  alpha: z
    .number()
    .min(1e-12)
    .max(1)
    .default(1e-4)
    .describe('added to the diagonal of the Hessian, so that it has an inverse: the paper has 1e-8 to 1e-4'),
  labels: z
    .enum(['drawn', 'true'])
    .default('drawn')
    .describe("labels drawn from the model's own answers, as a Hessian has it, or the true ones"),
}
type Options = z.infer<z.ZodObject<typeof ownOptions>>

/**
 * Removes one weight after the other, each time the one of all chosen layers with the smallest L_q = w_q² / (2 [H⁻¹]_qq), and
 * moves all others by δw = - w_q / [H⁻¹]_qq · H⁻¹ e_q (equation 5): H is the Hessian of the loss by all weights at once, so
 * that weights of one layer make up for those of another. H⁻¹ comes from H = (1/P) Σ X Xᵀ by the recursion of section 3,
 * beginning with H₀⁻¹ = α⁻¹ I. With scope: layer each layer loses its own share, with scope: global they share one.
 *
 * The square of the number of weights has to fit the memory: for small nets.
 *
 * Differs from the paper: for a classifier with cross entropy X is the gradient of the loss for a label drawn from the
 * answer, the mean of whose squares is what the paper's sum over outputs is for its error; H is that of the whole model as
 * it came, and loses the row and column of what goes, instead of being found anew; a number of weights ends it.
 * @throws UnsupportedError when the chosen layers have too many weights.
 */
export const optimalBrainSurgeon = defineWeightPruner({
  name: 'optimal-brain-surgeon',
  summary: 'Removes single weights by the full inverse Hessian of the loss, and moves all others to make up for each.',
  paper: {
    title: 'Second Order Derivatives for Network Pruning: Optimal Brain Surgeon',
    authors: 'Hassibi, Stork',
    venue: 'NIPS',
    year: 1993,
  },
  needs: ['calibration-data', 'gradients'],
  options: ownOptions,
  select: async ({ model, layers, options, context }) => operate(model, layers, options, context),
})

async function operate(
  model: Model,
  layers: readonly LayerToPrune[],
  options: LayersToSelect['options'] & Options,
  context: Context,
): Promise<Map<string, Float32Array>> {
  const size = layers.reduce((sum, { weight }) => sum + weight.length, 0)
  assertSmall(layers, size)
  const names = layers.map(({ layer }) => layer.weight)
  const inverse = await inverseHessian(model, names, size, options, context)
  const weights = Float64Array.from(layers.flatMap(({ weight }) => [...weight]))
  const layerOf = Uint32Array.from(layers.flatMap(({ weight }, i) => Array.from(weight, () => i)))
  // Weights that are zero go in any case; and with one budget for all, no layer loses everything.
  const zeros = layers.map(({ weight }) => weight.reduce((sum, value) => sum + (value === 0 ? 1 : 0), 0))
  const wanted = layers.map(({ remove }, i) => Math.max(remove, zeros[i]))
  const left = options.scope === 'layer' ? wanted : layers.map(({ weight }, i) => Math.max(weight.length - 1, zeros[i]))
  const total = wanted.reduce((sum, count) => sum + count, 0)
  const surgeon = createSurgeon(inverse, weights, names.join(', '))
  const pace = createPace(context)
  for (let done = 0; done < total; done++) {
    const removal = surgeon.next((place) => left[layerOf[place]] > 0)
    if (!removal) break
    left[layerOf[removal.place]]--
    await pace(surgeon.left ** 2 / 2)
    if (done % 64 === 0) context.progress?.({ task: 'select', done, total })
  }
  const after = surgeon.weights()
  return new Map(names.map((name, i) => [name, Float32Array.from(after.filter((_, place) => layerOf[place] === i))]))
}

function assertSmall(layers: readonly LayerToPrune[], size: number): void {
  if (size <= MOST_WEIGHTS) return
  const largest = layers.reduce((most, one) => (one.weight.length > most.weight.length ? one : most))
  throw new UnsupportedError(
    'surgeon-too-large',
    `the chosen layers have ${size} weights, and the full Hessian goes up to ${MOST_WEIGHTS}`,
    {
      place: largest.layer.name,
      hint: "Use 'layer-wise-surgeon' or 'optimal-brain-compression', or choose small layers with include and exclude.",
    },
  )
}

/** (α I + (1/P) Σ X Xᵀ)⁻¹ over P examples, [size, size], in the order of the weights' names. */
async function inverseHessian(
  model: Model,
  names: readonly string[],
  size: number,
  { samples, alpha, labels }: Options,
  context: Context,
): Promise<Float64Array> {
  const data = calibrationSet(context)
  const inverse = new Float64Array(size * size)
  for (let i = 0; i < size; i++) inverse[i * size + i] = 1 / alpha
  const share = 1 / Math.min(samples, data.size)
  await forEachGradient(model, names, data, { samples, labels }, context, (gradients) => {
    const x = new Float64Array(size)
    let offset = 0
    for (const name of names) {
      const own = gradients.get(name)!
      x.set(own, offset)
      offset += own.length
    }
    addToInverse(inverse, size, x, share)
  })
  return inverse
}
