import { hessianOptions } from '../../row-hessians.ts'
import { z } from 'zod'
import { createPredictiveBudget, decisionsOf, type PredictiveBudget } from '../../../codecs/predictive-budget.ts'
import { UsageError } from '../../../errors.ts'
import type { Model } from '../../../ir/model.ts'
import type { Layer } from '../../../ir/rewrite.ts'
import { layers } from '../../../ir/rewrite.ts'
import { dtypes } from '../../../tensor/dtype.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import type { Dataset } from '../../../datasets/dataset.ts'
import { outputSensitivity } from '../../calibration-sensitivity.ts'
import { inputMoments, type InputMoments } from '../../calibration.ts'
import { withCodebooks, type CodebookLayer } from '../../codebooks.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides, optionsOfLayer } from '../../layer-choice.ts'
import { biasOfRows, ownBiases } from '../../layer-biases.ts'
import { defineMethod, type Context } from '../../method.ts'
import { finiteWeights, isPlainFloat } from '../../weights.ts'
import { anyRows, weightRows, type WeightRows } from '../../weight-rows.ts'
import { withIntegerBias, withIntegerCodes, type CodedBias, type CodedWeight } from '../integer-codes.ts'
import { quantizeLayer, rowsInOrder, type QuantizedLayer } from './quantize-layer.ts'

const layerOptions = {
  lambda: z
    .number()
    .min(0)
    .max(100)
    .default(0.02)
    .describe(
      'noise, relative to the output of a layer, that a bit less a weight may cost; 0: the nearest 8-bit codes',
    ),
  grid: z
    .enum(['uniform', 'k-means'])
    .default('uniform')
    .describe('codes are multiples of a step, or places in a codebook of values that are trained'),
  trellis: z
    .boolean()
    .default(false)
    .describe(
      'let codes depend on those before them, as the coder of small models knows; not where rows are not stored one by one',
    ),
  bits: z.number().int().min(1).max(8).default(5).describe('a trained codebook has at most 2^bits values'),
  granularity: z
    .enum(['tensor', 'channel'])
    .default('tensor')
    .describe('one step a layer, or one an output channel, whose errors then count relative to its own spread'),
}

const options = z.strictObject({
  ...layerOptions,
  weighting: z
    .enum(['none', 'activations', 'hessian'])
    .default('activations')
    .describe(
      'what errors count: all alike; by the inputs that weights meet; or by what they do to the answers as well',
    ),
  compensate: z
    .boolean()
    .default(true)
    .describe('let each weight make up for the errors of those before it in its row; needs activations'),
  biases: z.boolean().default(true).describe('choose the codes of biases as well'),
  ...hessianOptions,
  passes: z
    .number()
    .int()
    .min(1)
    .max(10)
    .default(2)
    .describe('times that codes are chosen, each by the rates of the last'),
  layers: layerOverrides({
    lambda: layerOptions.lambda.unwrap(),
    grid: layerOptions.grid.unwrap(),
    trellis: layerOptions.trellis.unwrap(),
    bits: layerOptions.bits.unwrap(),
    granularity: layerOptions.granularity.unwrap(),
  }),
  ...layerChoiceOptions,
})
type Options = z.infer<typeof options>

/**
 * Chooses integer codes so that distortion + λ · bits is least, under a model of the pack's own coder: a weight whose
 * code is dear moves to a cheaper one where that does little harm. The distortion is what the change makes of the
 * layer's outputs on data; weights chosen later make up for errors of earlier ones, and the bias for what is left.
 * Every layer has the same λ, so that a bit saves the same noise wherever it is spent; its step follows from λ. Without
 * data all weights count alike. With 'hessian' the output of each channel counts by half the Fisher information, so that
 * the distortion is an estimate, in nats, of how far the answers move.
 *
 * With the grid 'k-means' the values of the codes are trained, see `trainGrid`, and written as a codebook behind a Gather.
 * At 1.6 to 3.4 bits a weight and up to 64 values its distortion + λ · bits of the pack was that of the uniform grid on
 * layers of SqueezeNet (-0.4 to +0.3 %), and 2 % more on those of ResNet-20, whose codebooks take as much: it is for weights
 * that gather at values of their own.
 *
 * With `trellis` what a weight may be depends on those before it in the file, see `src/codecs/dependent.ts`. The codes of
 * layers of SqueezeNet and ResNet-20 took 3 to 6 % fewer bytes for the same distortion at 1 to 3.5 bits a weight, with error
 * feedback and without, and -1 to 7 % in a layer of 2,304 weights (`npm run bench -- trellis`). That is for layers that the
 * codec `predictive` has time for, since one that does not know the trellis needs 20 to 60 % more: the smallest ones until
 * a file is full; the others are done without, and the report says so. It takes eight times as long.
 *
 * Differs from the paper: codes are chosen with error feedback (Frantar et al., GPTQ, 2022) instead of independently;
 * distortion is measured at the outputs of layers; rates come from contexts as our coder has them.
 */
export const rateDistortion = defineMethod({
  name: 'rate-distortion',
  family: 'quantization',
  summary: 'Chooses integer codes for the fewest bits at the least noise in the outputs of layers, without training.',
  paper: {
    title: 'DeepCABAC: A Universal Compression Algorithm for Deep Neural Networks',
    authors: 'Wiedemann, Kirchhoffer, Matlage, Haase, Marban, Marinc, Neumann, Nguyen, Schwarz, Wiegand, Marpe, Samek',
    venue: 'IEEE Journal of Selected Topics in Signal Processing',
    year: 2020,
    arxiv: '1907.11900',
  },
  needs: [],
  options,
  strength: (given, s) => ({
    ...scaled(given, s),
    layers: given.layers && mapValues(given.layers, (o) => scaled(o, s)),
  }),
  apply: quantize,
})

/** At strength 0 a bit may cost a sixteenth of what was asked for, at 2 sixteen times as much. */
function scaled<Given extends { lambda?: number }>(given: Given, strength: number): Given {
  return given.lambda === undefined ? given : { ...given, lambda: Math.min(100, given.lambda * 16 ** (strength - 1)) }
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}

interface Chosen {
  readonly layer: Layer
  readonly tensor: Tensor
  readonly values: Float32Array
}

type LayerOptions = Pick<Options, 'lambda' | 'grid' | 'trellis' | 'bits' | 'granularity'>

async function quantize(model: Model, given: Options, context: Context): Promise<Model> {
  const chosen = plainLayers(model, given, context)
  const total = chosen.reduce((sum, { values }) => sum + values.length, 0)
  const { moments, sensitivity } = await statisticsOf(model, chosen, given, context)
  const biases = given.biases ? ownBiases(model) : new Map<string, Tensor>()
  const looked = given.weighting !== 'none' && (context.data?.train.size ?? 0) > 0
  const budget = createPredictiveBudget()
  const results = new Map<Chosen, QuantizedLayer>()
  const biasOf = new Map<Chosen, string>()
  // The order in which the writer of packs gives the time of its slowest coder away, which decides on trellises.
  const bySize = chosen.toSorted((a, b) => a.values.length - b.values.length)
  for (const [position, one] of bySize.entries()) {
    const { layer, tensor, values } = one
    context.signal?.throwIfAborted()
    const detail = { layer: layer.name }
    context.progress?.({ task: 'rate-distortion', done: position, total: chosen.length, detail })
    const own = optionsOfLayer(given, layer, model)
    checkOptions(own, layer)
    const { granularity } = own
    if (granularity === 'channel' && layer.outAxis === undefined) {
      context.skip(layer.name, 'a Reshape mixes its output channels: one step a channel is not possible')
      continue
    }
    const rows = weightRows(model, layer) ?? anyRows(tensor.shape)
    const rowBias = biasOfRows(model, layer, rows, biases)
    const bias = rowBias && { ...rowBias, values: finiteWeights(rowBias.name, rowBias.tensor) }
    const perChannel = sensitivity.get(layer.weight)
    const choose = (trellis: boolean) =>
      quantizeLayer({
        ...given,
        ...own,
        name: layer.name,
        weight: tensor,
        values,
        rows,
        moments: moments.get(layer.weight),
        sensitivity: perChannel && Float64Array.from(rows.output, (channel) => perChannel[channel]),
        bias,
        trellis,
        total,
        axis: granularity === 'channel' ? layer.outAxis : undefined,
      })
    let obstacle = own.trellis ? trellisObstacle(rows, values.length, budget) : undefined
    const trellis = own.trellis && obstacle === undefined
    let result = choose(trellis)
    if (result && !budget.fits(values.length, decisions(result)) && trellis) {
      obstacle = TOO_LARGE
      result = choose(false)
    }
    if (!result) context.skip(layer.name, 'its weights are too small or too large for a step of their type')
    else if (result.bits >= values.length * dtypes[tensor.dtype].bits)
      context.skip(layer.name, `codes are no smaller: ${Math.ceil(result.bits / 8)} bytes for ${values.length} weights`)
    else {
      if (obstacle !== undefined) context.skip(layer.name, `its codes have no trellis: ${obstacle}`)
      if (looked && !moments.has(layer.weight))
        context.skip(
          layer.name,
          'all of its weights count alike: their rows are too long, or not known, for statistics',
        )
      results.set(one, result)
      if (result.bias) biasOf.set(one, bias!.name)
    }
  }
  context.progress?.({ task: 'rate-distortion', done: chosen.length, total: chosen.length })
  return withResults(model, chosen, results, biasOf)
}

/** @throws UsageError when options contradict each other, at the layer for which they do. */
function checkOptions({ trellis, grid, granularity }: LayerOptions, { name: place }: Layer): void {
  if (grid === 'uniform') return
  if (trellis)
    throw new UsageError('rate-distortion-trellis', 'a trellis needs a uniform grid', {
      place,
      hint: "Choose the grid 'uniform', or no trellis.",
    })
  if (granularity === 'channel')
    throw new UsageError('rate-distortion-codebooks', 'a trained grid is one for all channels of a layer', {
      place,
      hint: "Choose the granularity 'tensor' or the grid 'uniform'.",
    })
}

const TOO_LARGE = "the codec 'predictive', which knows it, takes no more numbers in one file"

/** Why codes cannot depend on each other, or would only cost more. */
function trellisObstacle(rows: WeightRows, count: number, budget: PredictiveBudget): string | undefined {
  if (!rowsInOrder(rows)) return 'the rows of its weight are not stored one by one'
  return budget.mayFit(count) ? undefined : TOO_LARGE
}

/** What the writer of packs will count for the codes. */
function decisions({ weight, shared }: QuantizedLayer): number {
  if (shared) return decisionsOf(shared.places, shared.codebook.length)
  const { codes } = weight!
  let largest = 0
  for (const code of codes) largest = Math.max(largest, Math.abs(code))
  return decisionsOf(codes, 2 * largest + 1)
}

/** The model with codes for the layers that have a result, in the order of the graph. */
function withResults(
  model: Model,
  chosen: readonly Chosen[],
  results: ReadonlyMap<Chosen, QuantizedLayer>,
  biasOf: ReadonlyMap<Chosen, string>,
): Model {
  const coded: CodedWeight[] = []
  const shared: CodebookLayer[] = []
  const biases: CodedBias[] = []
  for (const one of chosen) {
    const { layer, tensor } = one
    const result = results.get(one)
    if (result?.weight) coded.push({ layer, ...result.weight })
    if (result?.shared) shared.push(codebookLayer(layer, tensor, result.shared))
    if (result?.bias) biases.push({ bias: biasOf.get(one)!, ...result.bias })
  }
  return withCodebooks(withIntegerBias(withIntegerCodes(model, coded), biases), shared, false).model
}

function codebookLayer(
  layer: Layer,
  { dtype, shape }: Tensor,
  { places, codebook }: NonNullable<QuantizedLayer['shared']>,
): CodebookLayer {
  const entries = codebook.length
  return { layer, dtype, shape, codes: places, codebook, entries, channels: 1, zeroFirst: false }
}

function plainLayers(model: Model, given: Options, context: Context): Chosen[] {
  return chooseLayers(model, given, context).flatMap((layer) => {
    if (!isPlainFloat(model, layer)) {
      context.skip(layer.name, 'its weights are not plain floats: they were shared or quantized before')
      return []
    }
    const tensor = model.graph.initializers.get(layer.weight)!
    const values = finiteWeights(layer.weight, tensor)
    if (values.length > 0) return [{ layer, tensor, values }]
    context.skip(layer.name, 'it has no weights')
    return []
  })
}

interface Statistics {
  readonly moments: ReadonlyMap<string, InputMoments>
  readonly sensitivity: ReadonlyMap<string, Float64Array>
}

const nothing: Statistics = { moments: new Map(), sensitivity: new Map() }

/** Statistics of models, which a search over strengths asks for again and again. */
const known = new WeakMap<Model, { readonly key: string; readonly data: Dataset; readonly statistics: Statistics }>()

async function statisticsOf(
  model: Model,
  chosen: readonly Chosen[],
  { weighting, samples }: Options,
  context: Context,
): Promise<Statistics> {
  const data = context.data?.train
  if (weighting === 'none' || !data || data.size === 0 || chosen.length === 0) return nothing
  const weights = new Set(chosen.map(({ layer }) => layer.weight))
  const key = JSON.stringify([weighting, samples, context.seed, ...weights])
  const found = known.get(model)
  if (found?.key === key && found.data === data) return found.statistics
  // Every layer that reads a weight has a say, also where the weight is chosen once.
  const readers = layers(model).filter(({ weight }) => weights.has(weight))
  const statistics = {
    moments: await inputMoments(model, readers, data, samples, context),
    sensitivity:
      weighting === 'hessian' ? await outputSensitivity(model, readers, data, samples, context) : nothing.sensitivity,
  }
  known.set(model, { key, data, statistics })
  return statistics
}
