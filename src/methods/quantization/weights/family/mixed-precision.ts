/** How many bits each layer gets: what each costs alone is measured, and the sum kept small within a budget. */
import { z } from 'zod'
import { ModelError, UsageError } from '../../../../errors.ts'
import type { Model } from '../../../../ir/model.ts'
import { toFloat32Model } from '../../../../ir/precision.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { float32, type Tensor } from '../../../../tensor/tensor.ts'
import { evaluateWith, type Evaluation } from '../../../../training/evaluate.ts'
import { createPredictor } from '../../../../training/predictor.ts'
import type { Context } from '../../../method.ts'
import { maxLossOptions, trialData } from '../../../trial-data.ts'
import { cheapest, precisionPath, withinBudget, type Choice } from './precision-path.ts'
import { relativeSquaredError } from './quantized-layer.ts'

/** The options by which bits are chosen for each layer. */
export const mixedPrecisionOptions = {
  averageBits: z
    .number()
    .min(1)
    .max(16)
    .optional()
    .describe(
      'chooses the precision of each layer so that a weight of the quantized layers takes no more bits on average, scales ' +
        'counted, and the loss on validation data grows least; without data the error of the weights',
    ),
  ...maxLossOptions(
    'chooses the precision of each layer so that they take the fewest bytes and lose no more than so many points of ' +
      'accuracy on validation data, before any retraining',
    'examples of the validation data on which layers are measured to choose their precision',
  ),
}

export type MixedPrecisionOptions = { readonly [Key in keyof typeof mixedPrecisionOptions]?: number | undefined }

/** Whether the precision of layers is to be chosen. @throws UsageError where two budgets are given. */
export function choosesPrecision({ averageBits, maxLoss }: MixedPrecisionOptions): boolean {
  if (averageBits !== undefined && maxLoss !== undefined)
    throw new UsageError('two-budgets', 'averageBits and maxLoss are two budgets, and a choice has one', {
      place: 'averageBits, maxLoss',
      hint: 'Leave one of them out: averageBits bounds the size, maxLoss the accuracy that is lost.',
    })
  return averageBits !== undefined || maxLoss !== undefined
}

/** A layer and what it becomes at each precision. */
export interface LayerToChoose {
  readonly layer: Layer
  readonly tensor: Tensor
  readonly weights: Float32Array
  /** The precisions to choose from, ascending. */
  readonly precisions: readonly number[]
  /** The values at a precision, and bits a weight with scales; undefined where the layer cannot be written so. */
  at(precision: number): { readonly values: Float32Array; readonly bits: number } | undefined
}

export interface PrecisionInput {
  readonly method: string
  readonly model: Model
  readonly layers: readonly LayerToChoose[]
  readonly options: MixedPrecisionOptions
  readonly context: Context
}

/**
 * The precision of each layer, by the name of its weight. The network is measured with one layer alone quantized, at
 * every precision, and the losses of layers are taken to add up; then a Lagrangian over the layers gives, for each
 * price of a bit, the best choice (Shoham and Gersho, IEEE Transactions on Acoustics, Speech, and Signal Processing 36,
 * 1988). With `maxLoss` the highest price is sought, by halves, at which the network as a whole, measured, keeps what
 * it has to. Layers that no precision suits are left out.
 *
 * @throws UsageError where `averageBits` is below what the fewest bits take, where even the most bits lose more than
 * `maxLoss`, and where that is asked for without validation data; ModelError where the model's loss is not finite.
 */
export async function choosePrecisions(given: PrecisionInput): Promise<ReadonlyMap<string, number>> {
  const layers = given.layers.filter((one) => one.precisions.some((precision) => one.at(precision)))
  const { options, context } = given
  const input = { ...given, layers }
  if (layers.length === 0) return new Map()
  if (options.maxLoss === undefined && !context.data?.validation.size) return byWeightError(input)
  const data = trialData(options.maxLossSamples ?? 1000, context)
  const model = toFloat32Model(input.model)
  const promoted = layers.map(({ layer }) => layer.weight)
  const state = Object.fromEntries(promoted.map((name) => [name, model.graph.initializers.get(name)!]))
  const predictor = await createPredictor(model, data.inputShape, context.engine, { promoted })
  try {
    const measure: Measure = async (chosen) => {
      context.signal?.throwIfAborted()
      const changed = chosen.map(
        ([{ layer, tensor }, values]) => [layer.weight, float32(values, tensor.shape)] as const,
      )
      return evaluateWith(predictor, data, {}, { ...state, ...Object.fromEntries(changed) })
    }
    return await byLoss(input, measure, data.size)
  } finally {
    await predictor.close()
  }
}

/** Nats of loss that count as much as an error as large as the weights. */
const TIE = 1e-6

/** Without data: by the squared error of the weights, relative to their squares. */
function byWeightError(input: PrecisionInput): ReadonlyMap<string, number> {
  const { layers, options } = input
  const damages = layers.map((one) =>
    one.precisions.flatMap((precision): Choice[] => {
      const found = one.at(precision)
      return found
        ? [
            {
              precision,
              cost: found.bits * one.weights.length,
              damage: relativeSquaredError(one.weights, found.values),
            },
          ]
        : []
    }),
  )
  const chosen = fitting(input, damages, options.averageBits!)
  return told(input, chosen, () => 'by the relative squared error of the weights: there is no data')
}

type Measured = Pick<Evaluation, 'accuracy' | 'loss'>
/** The model with these values in the place of the weights of these layers. */
type Measure = (chosen: readonly (readonly [LayerToChoose, Float32Array])[]) => Promise<Measured>

async function byLoss(input: PrecisionInput, measure: Measure, samples: number): Promise<ReadonlyMap<string, number>> {
  const { method, layers, options, context } = input
  const base = await measure([])
  if (!Number.isFinite(base.loss))
    throw new ModelError('loss-not-finite', `the loss of the model on validation data is ${base.loss}`, {
      place: 'validation',
      hint: 'Export the model again from a run that did not diverge, or look at the data that it is measured on.',
    })
  const total = layers.reduce((sum, { precisions }) => sum + precisions.length, 0)
  let done = 0
  const accuracies = new Map<Choice, number>()
  const choices: Choice[][] = []
  for (const one of layers) {
    const own: Choice[] = []
    let lost = 0
    for (const precision of one.precisions.toReversed()) {
      const found = one.at(precision)
      if (found) {
        const { loss, accuracy } = await measure([[one, found.values]])
        // What no longer computes is worse than anything that does. That coarser weights happen to lower the loss says
        // nothing: they are not taken to be better than finer ones, and of what loses as much the closer is the better.
        lost = Math.max(lost, Number.isFinite(loss) ? loss - base.loss : 1e9)
        const damage = lost + TIE * relativeSquaredError(one.weights, found.values)
        const choice = { precision, cost: found.bits * one.weights.length, damage }
        accuracies.set(choice, accuracy)
        own.unshift(choice)
      }
      context.progress?.({ task: `${method}: bits a layer`, done: ++done, total, detail: { layer: one.layer.name } })
    }
    choices.push(own)
  }
  const whole = (chosen: readonly (Choice | undefined)[]) =>
    measure(
      chosen.flatMap((choice, i) => (choice ? [[layers[i], layers[i].at(choice.precision)!.values] as const] : [])),
    )
  const [chosen, after] =
    options.maxLoss === undefined
      ? await (async () => {
          const found = fitting(input, choices, options.averageBits!)
          return [found, await whole(found)] as const
        })()
      : await fewestBytes(choices, base, options.maxLoss, whole, input)
  const points = (accuracy: number) => `${((base.accuracy - accuracy) * 100).toFixed(2)} points`
  context.proved?.({
    check: `${method}: bits a layer, before any retraining`,
    passed: true,
    detail: `${meanBits(input, chosen).toFixed(2)} bits a weight lose ${points(after.accuracy)} on ${samples} validation examples`,
  })
  return told(input, chosen, (choice) => `alone it loses ${points(accuracies.get(choice)!)}`)
}

/** Prices are tried by halves: of those that keep the accuracy, the one of the fewest bytes. */
async function fewestBytes(
  choices: readonly (readonly Choice[])[],
  base: Measured,
  maxLoss: number,
  whole: (chosen: readonly (Choice | undefined)[]) => Promise<Measured>,
  { method, context }: PrecisionInput,
) {
  const floor = base.accuracy - maxLoss / 100 - 1e-9
  const path = precisionPath(choices)
  // Beyond the least sum of losses: all that the range has.
  path.push(choices.map((own) => own.at(-1)))
  let [below, at] = [-1, path.length - 1]
  let after = await whole(path[at])
  if (after.accuracy < floor)
    throw new UsageError(
      'max-loss',
      `the most bits lose ${((base.accuracy - after.accuracy) * 100).toFixed(2)} points`,
      {
        place: 'maxLoss',
        hint: `Allow more than ${maxLoss}, exclude the layers that need full precision, or use finer scales.`,
      },
    )
  const rounds = Math.ceil(Math.log2(path.length + 1))
  for (let round = 1; at - below > 1; round++) {
    const middle = (below + at) >> 1
    const found = await whole(path[middle])
    context.progress?.({ task: `${method}: the network as a whole`, done: Math.min(round, rounds), total: rounds })
    if (found.accuracy >= floor) [at, after] = [middle, found]
    else below = middle
  }
  return [path[at], after] as const
}

/** @throws UsageError where the fewest bits are too many. */
function fitting(
  { layers }: PrecisionInput,
  choices: readonly (readonly Choice[])[],
  averageBits: number,
): readonly (Choice | undefined)[] {
  const weights = layers.reduce((sum, one, i) => sum + (choices[i].length > 0 ? one.weights.length : 0), 0)
  const fewest = cheapest(choices).reduce((sum, choice) => sum + (choice?.cost ?? 0), 0) / weights
  if (fewest > averageBits)
    throw new UsageError('average-bits', `a weight takes ${fewest.toFixed(3)} bits at least, scales counted`, {
      place: 'averageBits',
      hint: `Ask for ${Math.ceil(fewest * 100) / 100} or more, or let more weights share a scale.`,
    })
  return withinBudget(choices, averageBits * weights)
}

function meanBits({ layers }: PrecisionInput, chosen: readonly (Choice | undefined)[]): number {
  let [cost, count] = [0, 0]
  for (const [i, choice] of chosen.entries()) {
    if (!choice) continue
    cost += choice.cost
    count += layers[i].weights.length
  }
  return count === 0 ? 0 : cost / count
}

/** Puts the choice into the report, a line a layer. */
function told(
  { method, layers, context }: PrecisionInput,
  chosen: readonly (Choice | undefined)[],
  why: (choice: Choice) => string,
): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const [i, choice] of chosen.entries()) {
    if (!choice) continue
    const { layer, weights } = layers[i]
    found.set(layer.weight, choice.precision)
    const bits = (choice.cost / weights.length).toFixed(2)
    const detail = `precision ${choice.precision}, ${bits} bits a weight; ${why(choice)}`
    context.proved?.({ check: `${method}: bits of '${layer.name}'`, passed: true, detail })
  }
  return found
}
