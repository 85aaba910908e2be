import { z } from 'zod'
import { constantValues } from '../../ir/constant-values.ts'
import { createDraft } from '../../ir/draft.ts'
import { graphIndex, nodeLabel } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import { layers } from '../../ir/rewrite.ts'
import { inferShapes } from '../../ir/shapes.ts'
import { integerArithmeticOnlyInference } from '../../paper.ts'
import { toNumbers } from '../../tensor/elements.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { chooseLayers, layerChoiceOptions } from '../layer-choice.ts'
import { defineMethod, type Context, type ProofCheck } from '../method.ts'
import { affineOf, isBatchNorm } from './batch-norm/affine.ts'
import { runBeside } from './batch-norm/agreement.ts'
import { foldIntoLayer, layerBefore, type Folding } from './batch-norm/fold-into-layer.ts'
import { foldIntoNext, layerBehind } from './batch-norm/fold-into-next.ts'
import { foldIntoThresholds, type Thresholds } from './batch-norm/fold-into-thresholds.ts'

/** As many significant bits as float32 has: nothing is rounded but by the type. */
const EXACT = 24

const options = z.strictObject({
  bits: z
    .number()
    .int()
    .min(4)
    .max(EXACT)
    .default(12)
    .describe('where weights are integer codes: significant bits of a scale, and bits of a bias; 24 rounds neither'),
  ...layerChoiceOptions,
})

type Options = z.infer<typeof options>

/**
 * Takes normalizations away where others can do their work. In front of a sign or a step function one becomes
 * thresholds, one a channel, and the decisions stay as they are. Otherwise the layer in front takes it in, or the product
 * behind it, also through pools and a Flatten: y = γ (W x +
 * b − μ) / √(σ² + ε) + β is W' x + b' with W' = a W and b' = a (b − μ) + β, a = γ / √(σ² + ε), equation 14 of the
 * paper. Weights that are integer codes keep them: only their scale becomes one for each output channel; codebooks of a
 * channel are multiplied. With integer codes the four numbers a channel become two, and in the file they are short:
 * scales of `bits` significant bits, biases as codes of `bits` bits. Where nothing is rounded the run shows that every
 * changed node gives what was there.
 *
 * What compares with thresholds of its own is not trained further: fold last.
 *
 * Differs from the paper: it folds while training, to quantize what will be used; we fold what was trained. Thresholds
 * are not in it: BNN (Courbariaux et al. 2016, arXiv 1602.02830) is where normalizations stand in front of signs.
 */
export const foldBatchNorm = defineMethod({
  name: 'fold-batch-norm',
  family: 'architecture',
  summary:
    'Puts each batch normalization into thresholds behind it, or into weights and bias in front of it or behind.',
  paper: integerArithmeticOnlyInference,
  needs: [],
  options,
  async apply(model: Model, given: Options, context: Context) {
    const { model: folded, thresholds } = fold(model, given, context)
    if (context.proved && folded !== model) {
      const exact =
        given.bits === EXACT ? folded : fold(model, { ...given, bits: EXACT }, { ...context, skip() {} }).model
      context.proved(await agreement(model, exact, thresholds, context))
    }
    return folded
  },
})

interface Folded {
  readonly model: Model
  readonly thresholds: readonly Thresholds[]
}

function fold(model: Model, options: Options, context: Context): Folded {
  const stays = new Map<string, Reason>()
  const first = foldWhatIsNear(model, options, context, stays)
  const folded = foldIntoProducts(first.model, options, context, stays)
  for (const { place, reason } of stays.values()) context.skip(place, `its normalization stays: ${reason}`)
  return { model: folded, thresholds: first.thresholds }
}

/** Why a normalization stays. */
interface Reason {
  readonly place: string
  readonly reason: string
  /** Whether there is nothing that could have taken it in. */
  readonly alone?: boolean
}

/**
 * Folds into comparisons behind, and layers in front.
 * @param stays gets the reasons for others, by what they make.
 */
function foldWhatIsNear(model: Model, options: Options, context: Context, stays: Map<string, Reason>): Folded {
  const { all, chosen, folding } = prepared(model, options, context)
  const { draft, index, constant } = folding
  const thresholds: Thresholds[] = []
  let changed = false
  for (const norm of model.graph.nodes.filter(isBatchNorm)) {
    context.signal?.throwIfAborted()
    const layer = layerBefore(norm, all, index)
    // Who names layers does not mean a normalization without one.
    if (layer ? !chosen.has(layer.weight) : options.include) continue
    const affine = affineOf(norm, constant)
    const compared = affine && foldIntoThresholds(norm, affine, folding)
    if (compared && typeof compared !== 'string') {
      thresholds.push(...compared)
      changed = true
      continue
    }
    const place = layer?.name ?? nodeLabel(norm)
    const nothing = 'no convolution or product is in front of it, and neither a comparison nor a product behind'
    const reason = !affine
      ? 'its normalization is computed, not finite, or in training mode'
      : layer
        ? foldIntoLayer(norm, affine, layer, folding)
        : nothing
    if (reason === undefined) changed = true
    else
      stays.set(norm.outputs[0], {
        place,
        reason: layer ? reason : (compared ?? reason),
        alone: reason === nothing && compared === undefined,
      })
  }
  return { model: changed ? draft.finish() : model, thresholds }
}

/** Folds what is left into products behind; the reasons in `stays` that no longer hold are taken out. */
function foldIntoProducts(model: Model, options: Options, context: Context, stays: Map<string, Reason>): Model {
  // What is left alone was told before.
  const { all, chosen, folding } = prepared(model, options, { ...context, skip() {} })
  let changed = false
  for (const norm of model.graph.nodes.filter(isBatchNorm)) {
    const next = layerBehind(norm, all, folding)
    const affine = next && chosen.has(next.layer.weight) ? affineOf(norm, folding.constant) : undefined
    if (!next || !affine) continue
    const [made] = norm.outputs
    const reason = foldIntoNext(norm, affine, next, folding)
    changed ||= reason === undefined
    const before = stays.get(made)
    if (reason === undefined) stays.delete(made)
    else if (before?.alone) stays.set(made, { ...before, reason })
  }
  return changed ? folding.draft.finish() : model
}

function prepared(model: Model, { bits, ...choice }: Options, context: Context) {
  const draft = createDraft(model)
  const index = graphIndex(model.graph)
  const folding: Folding = { model, draft, index, constant: constantValues(model), types: inferShapes(model), bits }
  const chosen = new Set(chooseLayers(model, choice, context).map(({ weight }) => weight))
  return { all: layers(model), chosen, folding }
}

/**
 * Compares what changed nodes make with what was there, each from the same inputs: answers are the same but at ties.
 */
async function agreement(
  model: Model,
  folded: Model,
  thresholds: readonly Thresholds[],
  context: Context,
): Promise<ProofCheck> {
  const check = 'fold-batch-norm: changed nodes give what was there'
  const compared = thresholds.map((one) => one.compared)
  const beside = await runBeside(model, folded, compared, context)
  if (!beside) return { check, passed: true, leftOut: true, detail: 'not run: an input of the model is not declared' }
  const half = [...model.graph.initializers.values()].some(({ dtype }) => /^b?float16$/.test(dtype))
  let [worst, answers, ties, wrong] = [0, 0, 0, 0]
  for (const [name, before] of beside.before) {
    const after = beside.after.get(name)!
    const asked = thresholds.find((one) => one.answers === name)
    if (!asked) {
      worst = Math.max(worst, relativeDifference(before, after))
      continue
    }
    const different = differences(before, after)
    answers += before.data.length
    const near = nearThreshold(beside.further[asked.compared], asked.threshold, half ? 2e-2 : 1e-4)
    const tied = different.filter(near).length
    ties += tied
    wrong += different.length - tied
  }
  const passed = wrong === 0 && worst <= (half ? 2e-2 : 1e-3)
  const layersFolded = beside.before.size - thresholds.length
  const told = [
    ...(layersFolded > 0 ? [`${layersFolded} layers, relative difference ${worst.toExponential(1)}`] : []),
    ...(thresholds.length > 0 ? [`${answers} comparisons, ${wrong} others and ${ties} at ties`] : []),
  ]
  return { check, passed, detail: `${told.join('; ')}, on random inputs and before scales are shortened` }
}

/** The largest difference relative to the largest number of what was there. */
function relativeDifference(before: Tensor, after: Tensor): number {
  const [a, b] = [toNumbers(before), toNumbers(after)]
  const scale = a.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-3)
  return a.reduce((largest, value, i) => {
    const difference = Math.abs(value - b[i]) / scale
    return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference)
  }, 0)
}

function differences(before: Tensor, after: Tensor): number[] {
  const [a, b] = [toNumbers(before), toNumbers(after)]
  return Array.from(a.keys()).filter((i) => a[i] !== b[i])
}

/** Whether element i of `values` [N, C, ...] is as good as equal to its threshold. */
function nearThreshold(values: Tensor, threshold: Tensor, tolerance: number): (i: number) => boolean {
  const [numbers, limits] = [toNumbers(values), toNumbers(threshold)]
  const scale = numbers.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1)
  const inner = values.shape.slice(2).reduce((product, size) => product * size, 1)
  const at = (i: number) => (limits.length === 1 ? 0 : Math.floor(i / inner) % limits.length)
  return (i) => Math.abs(numbers[i] - limits[at(i)]) <= tolerance * scale
}
