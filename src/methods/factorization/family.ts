import { z } from 'zod'
import type { Model } from '../../ir/model.ts'
import { layers, type Layer } from '../../ir/rewrite.ts'
import type { Paper } from '../../paper.ts'
import { dtypes } from '../../tensor/dtype.ts'
import { toFloat32 } from '../../tensor/half.ts'
import { createRandom, type Random } from '../../tensor/random.ts'
import { chooseLayers, layerChoiceOptions } from '../layer-choice.ts'
import { defineMethod, type Context, type Method, type Need } from '../method.ts'
import { createPace } from '../pace.ts'
import { withIntegerCodes } from '../quantization/integer-codes.ts'
import { retrainOption, retrains } from '../retraining.ts'
import { hessianOptions, NO_MOMENTS, splitRows } from '../row-hessians.ts'
import { sequentialTargets } from '../sequential-targets.ts'
import { weightRows, type WeightRows } from '../weight-rows.ts'
import { finiteLayer, isPlainFloat } from '../weights.ts'
import { bitsOfRank, rankOf, rankOptions, weakerRank } from './rank.ts'
import { fineTune, type CodeTraining, type FactorizedLayer, type GroupFactors } from './fine-tune.ts'
import { splitLayer, splitObstacle } from './split.ts'
import { fitTerms, type Term, type TermTask } from './terms.ts'

/** The options of every method that writes weights as products of matrices of codes. */
const familyOptions = {
  starts: z
    .number()
    .int()
    .min(0)
    .max(100)
    .default(0)
    .describe('random starts to try for each term besides the one that is computed'),
  samples: hessianOptions.samples,
  damping: hessianOptions.damping,
  retrain: retrainOption,
  ...layerChoiceOptions,
}

export type FactorizationOptions = z.infer<z.ZodObject<typeof familyOptions & typeof rankOptions>> & {
  passes: number
}

/** What the paper's file sees: what one term is to fit, and its options. */
export type TermToFit<Options> = TermTask & { readonly options: Options }

export interface Factorizer<Name extends string, Shape extends z.ZodRawShape> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  readonly needs?: readonly Need[]
  /** Options of its own, each with a default. */
  readonly options: Shape
  /** Bits that a code takes. */
  readonly codeBits: number
  /** Bits a weight where the options say nothing. */
  readonly usualBits: number
  /** How often all terms are gone over again unless the options say otherwise. */
  readonly usualPasses: number
  /** Whether errors count by what they do to outputs on data. */
  byOutputs?(options: z.infer<z.ZodObject<Shape>>): boolean
  /** The term that fits best, or one that is hard to improve. */
  fit(term: TermToFit<z.infer<z.ZodObject<Shape>>>): Term
  /** How factors are trained behind their codes. */
  readonly training: CodeTraining
}

type AnyFactorizer = Factorizer<string, z.ZodRawShape>

/**
 * Makes the record of a method that replaces a layer W [T, S] by U D V: a layer with K filters of codes, a scale for each of
 * these K channels, and a layer of codes that makes of them what the layer put out, bias included. Convolutions are matrices
 * of their filters; groups are factorized one by one; a transposed convolution has its small layer first. The codes are
 * integers behind DequantizeLinear: plain ONNX, of which the file holds half a byte a code (two bytes in a MatMul), and
 * the pack what they are worth.
 *
 * Layers are done in order. Where errors count by outputs, these are those of the original, and each layer's inputs
 * are those that the layers done before it give.
 * A layer whose factors would be no smaller than its weights is left alone, and the report says so.
 *
 * Where there is data the network is then trained, straight through the codes, see `fineTune`; `retrain: false` leaves
 * the factors as they were fitted.
 */
export function defineFactorizer<const Name extends string, Shape extends z.ZodRawShape>(
  factorizer: Factorizer<Name, Shape>,
): Method<Name, FactorizationOptions> {
  const passes = z
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(factorizer.usualPasses)
    .describe('times that all terms are gone over again, each fitted to what the others leave')
  return defineMethod({
    name: factorizer.name,
    family: 'factorization',
    summary: factorizer.summary,
    paper: factorizer.paper,
    needs: factorizer.needs ?? [],
    options: z.strictObject({
      ...rankOptions,
      passes,
      ...familyOptions,
      ...factorizer.options,
    }) as unknown as z.ZodType<FactorizationOptions>,
    strength: (options, strength) => weakerRank(options, strength, factorizer.usualBits),
    apply: (model, options, context) => factorize(model, factorizer as unknown as AnyFactorizer, options, context),
  })
}

async function factorize(
  model: Model,
  factorizer: AnyFactorizer,
  options: FactorizationOptions,
  context: Context,
): Promise<Model> {
  const { name, training } = factorizer
  const trains = retrains(options.retrain, context)
  const random = createRandom(context.seed).fork(name)
  const chosen = chooseLayers(model, options, context)
  const done: FactorizedLayer[] = []
  let current = model
  for (const [position, original] of chosen.entries()) {
    const { weight } = original
    context.signal?.throwIfAborted()
    context.progress?.({ task: name, done: position, total: chosen.length, detail: { layer: original.name } })
    const layer = layers(current).find((one) => one.weight === weight)!
    const plan = planLayer(current, layer, factorizer, options)
    if (typeof plan === 'string') {
      context.skip(layer.name, plan)
      continue
    }
    const task = { ...plan, options, random: random.fork(weight), context }
    const groups = await factorsOf(model, current, layer, factorizer, task)
    done.push({ layer: original, rows: plan.rows, groups })
    const terms = groups.map((group) => group.terms)
    const { model: split, u, v } = splitLayer(current, layer, plan.rows, terms)
    current = withCodes(split, [v, u])
  }
  context.progress?.({ task: name, done: chosen.length, total: chosen.length })
  if (!trains || done.length === 0) return current
  return fineTune(model, done, training, options.retrain || {}, context, { name, freeze: withCodes })
}

interface Plan {
  readonly rows: WeightRows
  /** [rows][columns], of all groups. */
  readonly matrix: readonly Float64Array[]
  readonly rank: number
}

/** What is to be done with a layer, or why nothing is. @throws ModelError when a weight is not finite. */
function planLayer(
  model: Model,
  layer: Layer,
  { codeBits, usualBits }: AnyFactorizer,
  options: FactorizationOptions,
): Plan | string {
  if (!isPlainFloat(model, layer)) return 'its weights are not plain floats: they were shared or quantized before'
  const tensor = model.graph.initializers.get(layer.weight)!
  const values = finiteLayer(model, layer)
  if (values.length === 0) return 'it has no weights'
  const rows = weightRows(model, layer)
  if (!rows) return 'a Reshape or a batch of matrices hides which of its weights are summed'
  const obstacle = splitObstacle(model, layer)
  if (obstacle !== undefined) return obstacle
  const bits = { code: codeBits, scale: dtypes[tensor.dtype].bits }
  const rank = rankOf(model, layer, rows, options, bits, usualBits)
  if (rank === 0)
    return `too small for the bits it may take: one term takes ${(bitsOfRank(rows, 1, bits) / values.length).toFixed(2)} a weight`
  if (bitsOfRank(rows, rank, bits) >= values.length * bits.scale)
    return `factors are no smaller: ${rank} terms take ${Math.ceil(bitsOfRank(rows, rank, bits) / 8)} bytes`
  return { rows, matrix: splitRows(values, rows), rank }
}

interface FactorsTask extends Plan {
  readonly options: FactorizationOptions
  readonly random: Random
  readonly context: Context
}

/** The terms of each group, as many in each. */
async function factorsOf(
  original: Model,
  current: Model,
  layer: Layer,
  factorizer: AnyFactorizer,
  { rows, matrix, rank, options, random, context }: FactorsTask,
): Promise<GroupFactors[]> {
  const { length, groups } = rows
  const height = rows.count / groups
  const pace = createPace(context)
  const byOutputs = factorizer.byOutputs?.(options) ?? false
  const problem = byOutputs ? await sequentialTargets(original, current, layer.weight, options, context) : undefined
  if (byOutputs && !problem) context.skip(layer.name, `its factors fit the weights: ${NO_MOMENTS}`)
  const wanted = problem?.targets ?? matrix
  const all: { matrix: Float64Array; terms: Term[] }[] = []
  for (let group = 0; group < groups; group++) {
    const own = new Float64Array(height * length)
    for (let r = 0; r < height; r++) own.set(wanted[group * height + r], r * length)
    const terms = await fitTerms({
      rows: height,
      columns: length,
      matrix: own,
      rank,
      passes: options.passes,
      starts: options.starts,
      random: random.fork(group),
      ...(problem ? { hessian: problem.hessians[group] } : {}),
      fit: (task) => factorizer.fit({ ...task, options }),
      pace,
    })
    all.push({ matrix: own, terms })
  }
  const most = Math.max(...all.map(({ terms }) => terms.length))
  // A group that nothing is left of sooner has terms that count nothing.
  for (const { terms } of all) while (terms.length < most) terms.push({ ...terms[0], scale: 0 })
  return all
}

/** The model in which the named initializers, which hold codes, are integers. */
function withCodes(model: Model, names: readonly string[]): Model {
  const items = names.map((weight) => ({
    layer: layers(model).find((layer) => layer.weight === weight)!,
    codes: Int8Array.from(toFloat32(model.graph.initializers.get(weight)!)),
    scale: Float32Array.of(1),
    packed: true,
  }))
  return withIntegerCodes(model, items)
}
