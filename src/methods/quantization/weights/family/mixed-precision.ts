/** How many bits each layer gets: what each costs alone is measured, and the sum kept small within a budget. */
import { z } from 'zod'
import { UsageError } from '../../../../errors.ts'
import type { Model } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import type { Context, Precision, Sensitivity } from '../../../method.ts'
import { leastAccuracy, measureSensitivity, type Measured } from '../../../sensitivity.ts'
import { maxLossOptions, withWeightTrials, type Trials } from '../../../trials.ts'
import { cheapest, precisionPath, withinBudget, type Choice, type Chosen } from './precision-path.ts'
import { relativeSquaredError, type QuantizedLayer } from './quantized-layer.ts'

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
  readonly weights: Float32Array
  /** The precisions to choose from, ascending. */
  readonly precisions: readonly number[]
  /** What is written at a precision, or why the layer cannot be written so. */
  at(precision: number): QuantizedLayer | string
}

export interface PrecisionInput {
  readonly method: string
  /** The option that tells it. */
  readonly unit: Precision
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
  const { options, context } = given
  const input = { ...given, layers: given.layers.filter((one) => unsuited(one) === undefined) }
  if (input.layers.length === 0) return new Map()
  if (options.maxLoss === undefined && !context.data?.validation.size) return byWeightError(input)
  const { sensitivity, chosen = [] } = await byLoss(input)
  context.sensitivity?.(sensitivity)
  const why = ({ precision }: Choice, i: number) => {
    const alone = sensitivity.curves[i].points.find(({ at }) => at === precision)!
    return `alone it loses ${lost(sensitivity, alone)}`
  }
  return told(input, chosen, why)
}

/**
 * What the network loses with each layer alone at every precision; and what the budget gives each, where there is one.
 * Layers that no precision suits are reported. @throws As `choosePrecisions`.
 */
export async function precisionSensitivity(given: PrecisionInput): Promise<Sensitivity> {
  const layers = given.layers.filter((one) => {
    const reason = unsuited(one)
    if (reason !== undefined) given.context.skip(one.layer.name, reason)
    return reason === undefined
  })
  return (await byLoss({ ...given, layers })).sensitivity
}

/** Why no precision suits a layer, where none does. */
function unsuited({ precisions, at }: LayerToChoose): string | undefined {
  let reason: string | undefined
  for (const precision of precisions) {
    const found = at(precision)
    if (typeof found !== 'string') return undefined
    reason ??= found
  }
  return reason
}

/** Nats of loss that count as much as an error as large as the weights. */
const TIE = 1e-6

/** What a precision costs a layer, without its damage. */
type Cost = Omit<Choice, 'damage'> & {
  /** The squared error of the weights, relative to their squares. */
  readonly error: number
}

function costOf({ weights }: LayerToChoose, precision: number, { bits, values }: QuantizedLayer): Cost {
  return { precision, cost: bits * weights.length, error: relativeSquaredError(weights, values) }
}

/** Without data: by the squared error of the weights, relative to their squares. */
function byWeightError(input: PrecisionInput): ReadonlyMap<string, number> {
  const choices = input.layers.map((one) =>
    one.precisions.flatMap((precision): Choice[] => {
      const found = one.at(precision)
      if (typeof found === 'string') return []
      const { error, ...cost } = costOf(one, precision, found)
      return [{ ...cost, damage: error }]
    }),
  )
  const chosen = fitting(input, choices, input.options.averageBits!)
  return told(input, chosen, () => 'by the relative squared error of the weights: there is no data')
}

/** The points that a measurement lost. */
const lost = (base: Pick<Measured, 'accuracy'>, { accuracy }: Pick<Measured, 'accuracy'>) =>
  `${((base.accuracy - accuracy) * 100).toFixed(2)} points`

interface Found {
  readonly sensitivity: Sensitivity
  /** Where there is a budget. */
  readonly chosen?: Chosen
}

/** Measures each layer alone at every precision, and chooses by that where there is a budget. */
async function byLoss(input: PrecisionInput): Promise<Found> {
  const { model, layers, options, context } = input
  const chooses = choosesPrecision(options)
  const samples = options.maxLossSamples ?? 1000
  const ofLayers = layers.map(({ layer }) => layer)
  return withWeightTrials({ model, layers: ofLayers, samples, context }, async (trials) => {
    const base = await trials.measure(new Map())
    const { data } = trials
    const costs = layers.map((): Cost[] => [])
    const toTry = layers.map((one, i) => ({
      name: one.layer.name,
      size: one.weights.length,
      tries: one.precisions.map((precision) => ({
        at: precision,
        async measure() {
          const found = one.at(precision)
          if (typeof found === 'string') return undefined
          costs[i].push(costOf(one, precision, found))
          return trials.measure(new Map([[one.layer.weight, found.values]]))
        },
      })),
    }))
    const facts = { unit: input.unit, parts: 'weights' as const, data: data.name, count: data.size, whole: base }
    const found = await measureSensitivity(toTry, facts, context)
    if (!chooses || layers.length === 0) return { sensitivity: found }
    const choices = found.curves.map((curve, i) => damaging(costs[i], curve.points, base.loss))
    const chosen = await withinTheBudget(choices, base, trials, input)
    const { averageBits, maxLoss } = options
    const sensitivity = {
      ...found,
      ...(averageBits === undefined ? { maxLoss: maxLoss! } : { averageBits }),
      curves: found.curves.map((curve, i) => ({ ...curve, ...(chosen[i] ? { chosen: chosen[i].precision } : {}) })),
    }
    return { sensitivity, chosen }
  })
}

/** What each precision of a layer adds to the loss of the network. */
function damaging(costs: readonly Cost[], points: Sensitivity['curves'][number]['points'], base: number): Choice[] {
  let most = 0
  return costs
    .toReversed()
    .map(({ error, ...cost }) => {
      const { loss } = points.find(({ at }) => at === cost.precision)!
      // What no longer computes is worse than anything that does. That coarser weights happen to lower the loss says
      // nothing: they are not taken to be better than finer ones, and of what loses as much the closer is the better.
      most = Math.max(most, loss === undefined ? 1e9 : loss - base)
      return { ...cost, damage: most + TIE * error }
    })
    .toReversed()
}

/** The network with a precision for each layer. */
type Whole = (chosen: Chosen) => Promise<Measured>

async function withinTheBudget(
  choices: readonly (readonly Choice[])[],
  base: Measured,
  { data, measure }: Trials<ReadonlyMap<string, Float32Array>>,
  input: PrecisionInput,
): Promise<Chosen> {
  const { method, layers, options, context } = input
  const whole: Whole = async (chosen) =>
    measure(
      new Map(
        chosen.flatMap((choice, i) => {
          const found = choice && layers[i].at(choice.precision)
          return found === undefined || typeof found === 'string' ? [] : [[layers[i].layer.weight, found.values]]
        }),
      ),
    )
  const { averageBits, maxLoss } = options
  const byAverage = averageBits === undefined ? undefined : fitting(input, choices, averageBits)
  const [chosen, after] = byAverage
    ? [byAverage, await whole(byAverage)]
    : await fewestBytes(choices, base, maxLoss!, whole, input)
  context.proved?.({
    check: `${method}: bits a layer, before any retraining`,
    passed: true,
    detail: `${meanBits(input, chosen).toFixed(2)} bits a weight lose ${lost(base, after)} on ${data.size} validation examples`,
  })
  return chosen
}

/** Prices are tried by halves: of those that keep the accuracy, the one of the fewest bytes. */
async function fewestBytes(
  choices: readonly (readonly Choice[])[],
  base: Measured,
  maxLoss: number,
  whole: Whole,
  { method, context }: PrecisionInput,
) {
  const floor = leastAccuracy(base.accuracy, maxLoss)
  const path = precisionPath(choices)
  // Beyond the least sum of losses: all that the range has.
  path.push(choices.map((own) => own.at(-1)))
  let [below, at] = [-1, path.length - 1]
  let after = await whole(path[at])
  if (after.accuracy < floor)
    throw new UsageError('max-loss', `the most bits lose ${lost(base, after)}`, {
      place: 'maxLoss',
      hint: `Allow more than ${maxLoss}, exclude the layers that need full precision, or use finer scales.`,
    })
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
function fitting({ layers }: PrecisionInput, choices: readonly (readonly Choice[])[], averageBits: number): Chosen {
  const weights = layers.reduce((sum, one, i) => sum + (choices[i].length > 0 ? one.weights.length : 0), 0)
  const fewest = cheapest(choices).reduce((sum, choice) => sum + (choice?.cost ?? 0), 0) / weights
  if (fewest > averageBits)
    throw new UsageError('average-bits', `a weight takes ${fewest.toFixed(3)} bits at least, scales counted`, {
      place: 'averageBits',
      hint: `Ask for ${Math.ceil(fewest * 100) / 100} or more, or let more weights share a scale.`,
    })
  return withinBudget(choices, averageBits * weights)
}

function meanBits({ layers }: PrecisionInput, chosen: Chosen): number {
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
  chosen: Chosen,
  why: (choice: Choice, layer: number) => string,
): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const [i, choice] of chosen.entries()) {
    if (!choice) continue
    const { layer, weights } = layers[i]
    found.set(layer.weight, choice.precision)
    const bits = (choice.cost / weights.length).toFixed(2)
    const detail = `precision ${choice.precision}, ${bits} bits a weight; ${why(choice, i)}`
    context.proved?.({ check: `${method}: bits of '${layer.name}'`, passed: true, detail })
  }
  return found
}
