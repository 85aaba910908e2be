import { z } from 'zod'
import { UsageError } from '../../../errors.ts'
import { createDraft, type Draft } from '../../../ir/draft.ts'
import type { Model } from '../../../ir/model.ts'
import type { Layer } from '../../../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../../../tensor/half.ts'
import { float32 } from '../../../tensor/tensor.ts'
import type { Memory } from '../../../training/extensions.ts'
import { planTraining } from '../../../training/plan.ts'
import { trainingSettings } from '../../../training/settings.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides, optionsOfLayer } from '../../layer-choice.ts'
import { parametersOf, withHeld } from '../../held-weights.ts'
import { defineMethod, type Context } from '../../method.ts'
import { adoptTrained, retrain } from '../../retraining.ts'
import { deviation } from '../../weights.ts'
import { masksOfZeros, withMasksApplied } from '../../masks.ts'
import { retrainMasked } from '../rounds.ts'
import { scalarIn, sparseLayers, sparseTrainingOptions } from '../sparse-training.ts'

const ownOptions = {
  deviations: z
    .number()
    .min(-2)
    .max(30)
    .default(0)
    .describe(
      'a weight is small below the mean of |w| plus so many standard deviations of |w|, as they are at the start',
    ),
}

const options = z.strictObject({
  ...ownOptions,
  margin: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe('weights go when they are by this share below the threshold, and come back by this share above it'),
  gamma: z
    .number()
    .min(0)
    .max(1)
    .default(1e-4)
    .describe('surgery has the probability (1 + gamma · updates so far)^-power'),
  power: z
    .number()
    .min(0)
    .max(10)
    .default(1)
    .describe('surgery has the probability (1 + gamma · updates so far)^-power'),
  until: z.number().gt(0).max(1).default(0.75).describe('share of the training after which the masks stay as they are'),
  phases: z
    .array(layerChoiceOptions.include.unwrap().min(1))
    .min(1)
    .default([[':conv'], [':dense']])
    .describe('layers by pattern, list by list: one training each'),
  ...sparseTrainingOptions,
  ...layerChoiceOptions,
  layers: layerOverrides({ deviations: ownOptions.deviations.unwrap() }),
})

type Options = z.infer<typeof options>

/**
 * Guo et al. 2016: while the network trains, weights that become small are masked and masked weights that become large
 * come back. All weights learn on, by the gradient of the loss with respect to the masked ones (equation 2, operator
 * `espalier.MaskedWeight`); the mask T follows them (equation 3, see `surgery`). Convolutions first, dense layers after
 * them (section 3.3: with all at once the gradient vanishes), then a training under the masks that were found.
 *
 * As the authors' code has it, a and b are (1 ∓ margin) · max(µ + c σ, 0), where c is `deviations` and µ and σ are of |w|
 * at the start of the method, zeros left out.
 *
 * Differs from the paper: surgery happens with the probability of section 3.3, yet not by chance but in each update at
 * which the sum of the probabilities passes a whole number; biases are not pruned; the end of surgery is a share of the
 * training; and a layer that would lose everything keeps its largest weight.
 */
export const dynamicNetworkSurgery = defineMethod({
  name: 'dynamic-network-surgery',
  family: 'pruning',
  summary: 'Prunes small weights while training, and brings back those that turn out to have been needed.',
  paper: {
    title: 'Dynamic Network Surgery for Efficient DNNs',
    authors: 'Guo, Yao, Chen',
    venue: 'NIPS',
    year: 2016,
    arxiv: '1608.04493',
  },
  needs: ['training-data', 'gradients'],
  options,
  apply,
  strength: (written, s) => {
    const moved = (c: number) => (s <= 1 ? c + (c + 2) * (s - 1) : Math.min(30, c + s - 1))
    const own = Object.entries(written.layers ?? {}).map(([pattern, { deviations }]) => {
      return [pattern, deviations === undefined ? {} : { deviations: moved(deviations) }]
    })
    return {
      ...written,
      deviations: moved(written.deviations),
      ...(written.layers ? { layers: Object.fromEntries(own) } : {}),
    }
  },
})

async function apply(model: Model, written: Options, context: Context): Promise<Model> {
  const chosen = sparseLayers(model, written, context)
  const thresholds = new Map(chosen.map((layer) => [layer.weight, thresholdOf(model, layer, written)]))
  const phases = phasesOf(model, chosen, written, context)
  const masks = masksOfZeros(model)
  for (const { weight } of phases.flat()) masks.delete(weight)
  let current = model
  for (const [i, phase] of phases.entries()) {
    const label = phases.length > 1 ? `surgery ${i + 1}/${phases.length}` : 'surgery'
    const names = new Map(phase.map(({ weight }) => [weight, `${weight}.surgery`]))
    const trained = await retrain(
      withSurgery(withHeld(withMasksApplied(current, masks), masks), names),
      parametersOf(current),
      written.retrain ?? {},
      context,
      label,
      { memory: surgery(names, thresholds, written, lastUpdate(written, context)) },
    )
    for (const [weight, mask] of names) masks.set(weight, someLeft(toFloat32(trained.get(mask)!), trained, weight))
    current = adoptTrained(current, trained)
  }
  if (phases.length === 0) return model
  current = withMasksApplied(current, masks)
  return retrainMasked(current, masks, { ...written.retrain, ...written.finish }, context, 'retrain')
}

/** max(µ + c σ, 0). @throws UsageError when every weight of the layer is small. */
function thresholdOf(model: Model, layer: Layer, written: Options): number {
  const { deviations } = optionsOfLayer(written, layer, model)
  const sizes = toFloat32(model.graph.initializers.get(layer.weight)!).map(Math.abs)
  let [sum, count] = [0, 0]
  for (const size of sizes) {
    sum += size
    if (size !== 0) count++
  }
  const threshold = Math.max(sum / Math.max(1, count) + deviations * deviation(sizes), 0)
  const largest = sizes[largestOf(sizes)]
  if (largest < (1 - written.margin) * threshold)
    throw new UsageError(
      'removes-whole-layer',
      `${deviations} deviations are more than any weight of '${layer.name}'`,
      {
        place: layer.name,
        hint: `Lower deviations, or exclude the layer: its largest weight is ${largest.toPrecision(3)}, the threshold ${threshold.toPrecision(3)}.`,
      },
    )
  return threshold
}

function largestOf(sizes: Float32Array): number {
  let largest = 0
  for (let i = 1; i < sizes.length; i++) if (sizes[i] > sizes[largest]) largest = i
  return largest
}

/** The layers of each training; what no phase names is skipped with its reason. */
function phasesOf(model: Model, chosen: readonly Layer[], { phases }: Options, context: Context): Layer[][] {
  const quiet = { ...context, skip: () => {} }
  const left = new Map(chosen.map((layer) => [layer.weight, layer]))
  const found = phases.map((include) =>
    chooseLayers(model, { include }, quiet).flatMap(({ weight }) => {
      const layer = left.get(weight)
      left.delete(weight)
      return layer ? [layer] : []
    }),
  )
  for (const { name } of left.values()) context.skip(name, 'none of the phases names it')
  return found.filter((phase) => phase.length > 0)
}

/** The update after which the masks stay. */
function lastUpdate({ retrain: own, until }: Options, { training, data }: Context): number {
  const settings = trainingSettings.parse({ ...training, ...own })
  return Math.round(until * planTraining(data!.train.size, settings, 1).totalSteps)
}

const DUE = 'surgery.due'

/** The model with `MaskedWeight(W, T)` in the place of each weight W, and T = 1 under the given name. */
function withSurgery(model: Model, names: ReadonlyMap<string, string>): Model {
  const draft = createDraft(model)
  for (const [weight, mask] of names) {
    const { dtype, shape, data } = model.graph.initializers.get(weight)!
    draft.initializers.set(mask, fromFloat32(dtype, shape, new Float32Array(data.length).fill(1)))
    draft.interpose(weight, () => draft.add('espalier.MaskedWeight', [weight, mask]))
  }
  draft.initializers.set(DUE, float32([0], []))
  return draft.finish({ keepUnused: true })
}

/**
 * The rules of the masks. Equation 3: T becomes 0 where |w| < a, 1 where |w| ≥ b, and stays as it is in between, which is
 * |w| ≥ b − (b − a) T. A further memory holds how much of a surgery is due: the sum of the probabilities less the
 * surgeries made.
 */
function surgery(
  names: ReadonlyMap<string, string>,
  thresholds: ReadonlyMap<string, number>,
  { margin, gamma, power }: Options,
  last: number,
): Memory[] {
  const summed = (draft: Draft, step: string) => {
    const base = draft.add('Add', [draft.add('Mul', [step, scalarIn(draft, gamma)]), scalarIn(draft, 1 - gamma)])
    return draft.add('Add', [DUE, draft.add('Pow', [base, scalarIn(draft, -power)])])
  }
  const due: Memory = {
    name: DUE,
    next: (draft, { step }) => {
      const sum = summed(draft, step)
      return draft.add('Sub', [sum, draft.add('Floor', [sum])])
    },
  }
  const masks = [...names].map(([weight, name]): Memory => ({
    name,
    next: (draft, { parameters, step }) => {
      const threshold = thresholds.get(weight)!
      const gap = draft.add('Mul', [name, scalarIn(draft, 2 * margin * threshold)])
      const bound = draft.add('Sub', [scalarIn(draft, (1 + margin) * threshold), gap])
      const size = draft.add('Abs', [parameters.get(weight)!])
      const large = draft.add('Cast', [draft.add('GreaterOrEqual', [size, bound])], { to: 1 })
      const now = draft.add('GreaterOrEqual', [summed(draft, step), scalarIn(draft, 1)])
      const early = draft.add('LessOrEqual', [step, scalarIn(draft, last)])
      return draft.add('Where', [draft.add('And', [now, early]), large, name])
    },
  }))
  return [due, ...masks]
}

/** The mask, with a 1 at the largest weight where it has none. */
function someLeft(mask: Float32Array, trained: Awaited<ReturnType<typeof retrain>>, weight: string): Float32Array {
  if (mask.includes(1)) return mask
  const largest = largestOf(toFloat32(trained.get(weight)!).map(Math.abs))
  return mask.map((_, i) => (i === largest ? 1 : 0))
}
