/** How methods measure what layers and channels may lose: on examples of the validation data, in one session. */
import { z } from 'zod'
import { splitDataset, type Dataset } from '../datasets/dataset.ts'
import { UsageError } from '../errors.ts'
import type { Model } from '../ir/model.ts'
import { toFloat32Model } from '../ir/precision.ts'
import type { Layer } from '../ir/rewrite.ts'
import { float32, type Tensor } from '../tensor/tensor.ts'
import { evaluateWith, type Evaluation } from '../training/evaluate.ts'
import { createPredictor } from '../training/predictor.ts'
import type { Context } from './method.ts'

/** The options of methods that keep what they take from layers within a loss; each says what for. */
export function maxLossOptions(loss: string, samples: string) {
  return {
    maxLoss: z.number().min(0).max(100).optional().describe(loss),
    maxLossSamples: z.number().int().min(1).max(1_000_000).default(1000).describe(samples),
  }
}

/**
 * Examples of the validation data, chosen by the seed; all where there are no more.
 * @throws UsageError when there are none.
 */
function trialData(samples: number, { data, seed }: TrialContext): Dataset {
  const validation = data?.validation
  if (!validation?.size)
    throw new UsageError('no-validation-data', 'the model is to be tried on validation data, and there is none', {
      place: 'data',
      hint: 'Name a data set with data: in the recipe or --data.',
    })
  return splitDataset(validation, Math.min(samples, validation.size), seed)[1]
}

/** One model in one session, asked again and again with something changed. */
export interface Trials<Changes> {
  /** The examples that every trial looks at. */
  readonly data: Dataset
  /** Loss and accuracy of the model with these changes. */
  measure(changes: Changes): Promise<Evaluation>
}

type TrialContext = Pick<Context, 'engine' | 'data' | 'seed' | 'signal'>

/** What is tried, and on how many examples. */
export interface ModelToTry {
  /** In float32. */
  readonly model: Model
  /** The initializers that get other values; each trial gives values for all of them. */
  readonly promoted: readonly string[]
  readonly samples: number
  readonly context: TrialContext
}

/**
 * Works with trials on `samples` examples of the validation data, the same for each trial, chosen by the seed. Where the
 * data has fewer, all of them are used.
 * @throws UsageError when there is no data, or the model does not fit it.
 */
export async function withTrials<T>(
  { model, promoted, samples, context }: ModelToTry,
  work: (trials: Trials<Readonly<Record<string, Tensor>>>) => Promise<T>,
): Promise<T> {
  const data = trialData(samples, context)
  const predictor = await createPredictor(model, data.inputShape, context.engine, { promoted })
  try {
    return await work({
      data,
      async measure(state) {
        context.signal?.throwIfAborted()
        return evaluateWith(predictor, data, {}, state)
      },
    })
  } finally {
    await predictor.close()
  }
}

/** As `withTrials`, with other values for the weights of some of these layers: by name, in the weight's layout. */
export async function withWeightTrials<T>(
  given: Omit<ModelToTry, 'promoted'> & { readonly layers: readonly Pick<Layer, 'weight'>[] },
  work: (trials: Trials<ReadonlyMap<string, Float32Array>>) => Promise<T>,
): Promise<T> {
  const model = toFloat32Model(given.model)
  const promoted = given.layers.map(({ weight }) => weight)
  const state = Object.fromEntries(promoted.map((name) => [name, model.graph.initializers.get(name)!]))
  return withTrials({ ...given, model, promoted }, ({ data, measure }) =>
    work({
      data,
      measure: (changed) =>
        measure({
          ...state,
          ...Object.fromEntries([...changed].map(([name, values]) => [name, float32(values, state[name].shape)])),
        }),
    }),
  )
}
