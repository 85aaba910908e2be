import { z } from 'zod'
import { createDraft } from '../../../ir/draft.ts'
import { cutDeadChannels } from '../../../ir/cut-dead.ts'
import type { Model } from '../../../ir/model.ts'
import { layers, type Layer } from '../../../ir/rewrite.ts'
import { entropyPenalisedReparameterization } from '../../../paper.ts'
import { fromFloat32, toFloat32 } from '../../../tensor/half.ts'
import { roundSignificant } from '../../../tensor/powers-of-two.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { trainableParameters } from '../../../training/parameters.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides, optionsOfLayer } from '../../layer-choice.ts'
import { defineMethod, type Context } from '../../method.ts'
import { adoptTrained, partialTrainingSettings, retrain, retrains } from '../../retraining.ts'
import { checkReached } from '../../trained-graphs.ts'
import { finiteLayer, isPlainFloat, withInitializers } from '../../weights.ts'
import { biasCodes, storedScale, withIntegerBias, withIntegerCodes, withoutIntegerCodes } from '../integer-codes.ts'
import { ratePenalty, type GridWeight } from './rate-penalty.ts'

const ownOptions = {
  step: z
    .number()
    .min(0.01)
    .max(100)
    .default(1.5)
    .describe("step of a layer's grid, in root mean squares of its weights other than zero"),
}

const options = z.strictObject({
  lambda: z.number().min(0).max(1).default(1e-6).describe('what a bit of the file may cost, in units of the loss'),
  ...ownOptions,
  rounds: z
    .number()
    .int()
    .min(1)
    .max(20)
    .default(3)
    .describe('trainings, each with twice the lambda of the one before; the last has all of it'),
  cut: z.boolean().default(true).describe('cut channels that have died after each round'),
  biasBits: z.number().int().min(2).max(16).default(8).describe('bits of a bias; 16 or less'),
  retrain: partialTrainingSettings.optional().describe('training settings of a round; default: as the recipe says'),
  finish: partialTrainingSettings.optional().describe('training settings that differ in the last round'),
  ...layerChoiceOptions,
  layers: layerOverrides({ step: ownOptions.step.unwrap() }),
})

type Options = z.infer<typeof options>

/**
 * Trains weights that live on a grid, w = step · round(latent / step), with the rounding passed straight through, and
 * with the bits of the codes as a term of the loss, `ratePenalty`. What dies on the way is cut. In the result weights
 * are integer codes behind a DequantizeLinear; layers that were such before go on from there, with the step they had.
 *
 * Differs from the paper: the prior is not a learned density of a layer but counts in the rows and columns of the present
 * codes, as the pack's coder has them, so that whole channels become cheap; rounding is passed straight through instead
 * of being replaced by noise; the decoder is a scale, with no transform of several weights together.
 */
export const entropyPenalised = defineMethod({
  name: 'entropy-penalised',
  family: 'quantization',
  summary: 'Retrains weights as integer codes, with the bits that they will take in the file as a term of the loss.',
  paper: entropyPenalisedReparameterization,
  needs: ['training-data', 'gradients'],
  options,
  apply,
  strength: (written, s) => ({ ...written, lambda: Math.min(1, written.lambda * 4 ** (s - 1)) }),
})

/** The steps of the grids, by weight. */
type Grids = ReadonlyMap<string, number>

async function apply(model: Model, written: Options, context: Context): Promise<Model> {
  const { plain, grids } = gridsOf(model, written, context)
  retrains({}, context)
  if (grids.size === 0) return model
  // Only the price of bits would move them, all to zero.
  checkReached(plain, layersOf(plain, grids))
  let current = plain
  for (let round = 1; round <= written.rounds; round++) {
    const last = round === written.rounds
    const settings = { ...written.retrain, ...(last ? written.finish : undefined) }
    const lambda = written.lambda * 2 ** (round - written.rounds)
    const trained = await retrain(
      withRounding(current, grids),
      trainableParameters(current),
      settings,
      context,
      written.rounds > 1 ? `round ${round}/${written.rounds}` : 'retrain',
      lambda > 0 ? { penalties: [ratePenalty(gridWeights(current, grids), lambda)] } : {},
    )
    current = adoptTrained(current, trained)
    if (written.cut) current = withoutDead(current, grids, last ? context : undefined)
  }
  return withCodes(current, grids, written.biasBits)
}

/** The model with plain weights in all chosen layers, those that are integer codes included, and the steps of their grids. */
function gridsOf(model: Model, written: Options, context: Context): { plain: Model; grids: Map<string, number> } {
  const coded = chooseLayers(model, written, { ...context, skip: () => {} }).filter(({ source }) => source.length > 0)
  const { model: plain, scales } = withoutIntegerCodes(model, namesOfCodes(coded))
  const grids = new Map<string, number>()
  for (const layer of chooseLayers(plain, written, context)) {
    const tensor = plain.graph.initializers.get(layer.weight)!
    if (!isPlainFloat(plain, layer) || (tensor.dtype !== 'float32' && tensor.dtype !== 'float16')) {
      context.skip(layer.name, 'its weights are no floats of 16 or 32 bits, nor integer codes with one scale')
      continue
    }
    const values = finiteLayer(plain, layer).filter((value) => value !== 0)
    const size = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(1, values.length))
    const own = coarse(optionsOfLayer(written, layer, plain).step * size)
    const step = scales.get(layer.weight) ?? storedScale(tensor.dtype, Float32Array.of(own))[0]
    if (step > 0 && values.length > 0) grids.set(layer.weight, step)
    else context.skip(layer.name, 'all of its weights are zero, or as good as that in their type')
  }
  return { plain, grids }
}

/** The initializers that hold the codes of layers and of their biases. */
function namesOfCodes(coded: readonly Layer[]): Set<string> {
  return new Set(coded.flatMap(({ weight, bias }) => (bias === undefined ? [weight] : [weight, bias])))
}

/** With four significant bits: nobody misses the others, and they would stand in the file. */
function coarse(value: number): number {
  return roundSignificant(value, 4)
}

function layersOf(model: Model, grids: Grids): Layer[] {
  const seen = new Set<string>()
  return layers(model).filter(({ weight }) => grids.has(weight) && !seen.has(weight) && seen.add(weight))
}

function gridWeights(model: Model, grids: Grids): GridWeight[] {
  return layersOf(model, grids).map(({ weight, outAxis, inAxis }) => ({
    parameter: weight,
    shape: model.graph.initializers.get(weight)!.shape,
    step: grids.get(weight)!,
    outAxis,
    inAxis,
  }))
}

/** The model with `step · round(W / step)` in the place of each weight W. */
function withRounding(model: Model, grids: Grids): Model {
  const draft = createDraft(model)
  for (const { weight } of layersOf(model, grids)) {
    const { dtype } = model.graph.initializers.get(weight)!
    const step = draft.constant(`${weight}.step`, fromFloat32(dtype, [], Float32Array.of(grids.get(weight)!)))
    draft.interpose(weight, () => {
      const rounded = draft.add('espalier.RoundStraightThrough', [draft.add('Div', [weight, step])])
      return draft.add('Mul', [rounded, step])
    })
  }
  return draft.finish()
}

function codesOf(values: Float32Array, step: number): Float32Array {
  return values.map((value) => Math.round(value / step))
}

/** Cuts channels all of whose codes are zero; the latents of the others stay. */
function withoutDead(model: Model, grids: Grids, context: Context | undefined): Model {
  const cleared = new Map<string, Tensor>()
  for (const { weight, outAxis, inAxis } of layersOf(model, grids)) {
    const tensor = model.graph.initializers.get(weight)!
    const values = toFloat32(tensor)
    const codes = codesOf(values, grids.get(weight)!)
    const alive = [outAxis, inAxis].map((axis) => (axis === undefined ? undefined : livingIndices(codes, tensor, axis)))
    const kept = values.map((value, i) => (alive.every((living) => !living || living(i)) ? value : 0))
    cleared.set(weight, fromFloat32(tensor.dtype, tensor.shape, kept))
  }
  const { model: cut, left } = cutDeadChannels(withInitializers(model, cleared))
  for (const { layer, channels, reason } of context ? left : [])
    context!.skip(layer, `${channels.length} dead channels could not be cut: ${reason}`)
  return cut
}

/** Whether element i lies at an index of the axis at which some code is not zero. */
function livingIndices(codes: Float32Array, { shape }: Tensor, axis: number): (i: number) => boolean {
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1)
  const index = (i: number) => Math.floor(i / inner) % shape[axis]
  const living = new Uint8Array(shape[axis])
  for (let i = 0; i < codes.length; i++) if (codes[i] !== 0) living[index(i)] = 1
  return (i) => living[index(i)] === 1
}

function withCodes(model: Model, grids: Grids, biasBits: number): Model {
  const coded = layersOf(model, grids).map((layer) => {
    const step = grids.get(layer.weight)!
    const values = toFloat32(model.graph.initializers.get(layer.weight)!)
    return { layer, codes: Int16Array.from(codesOf(values, step)), scale: Float32Array.of(step) }
  })
  return withIntegerBias(withIntegerCodes(model, coded), biasCodes(model, biasBits))
}
