import type { Dataset } from '../datasets/dataset.ts'
import type { Engine } from '../engines/engine.ts'
import { DataError, UsageError } from '../errors.ts'
import type { Model } from '../ir/model.ts'
import type { ProgressListener } from '../progress.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { createPredictor, type OutputForm, type Predictor } from './predictor.ts'

export interface Evaluation {
  /** Share of the examples whose largest output is the label's. */
  readonly accuracy: number
  /** 1 − accuracy. */
  readonly error: number
  /** Mean cross-entropy, in nats. */
  readonly loss: number
  readonly count: number
  readonly correct: number
  /** Share of the examples whose label is among the five largest outputs; absent with five classes or fewer. */
  readonly top5?: number
  /** One entry an example, 1 where it was classified rightly. */
  readonly hits: Uint8Array
}

export interface EvaluateOptions {
  /** Examples a run; default 256. */
  readonly batchSize?: number
  /** The output to look at; default: the first. */
  readonly output?: string
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly progress?: ProgressListener
}

/**
 * Measures a classifier on all examples of a data set. Of equal outputs the first counts; an output that is not a number
 * is never right.
 * @throws UsageError when the model's input or the number of its outputs does not fit the data, or when aborted.
 */
export async function evaluate(
  model: Model,
  dataset: Dataset,
  engine: Engine,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const predictor = await createPredictor(model, dataset.inputShape, engine, {
    ...(options.output === undefined ? {} : { output: options.output }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  })
  try {
    return await evaluateWith(predictor, dataset, options)
  } finally {
    await predictor.close()
  }
}

/** As `evaluate`, with a predictor that is at hand, and values for its promoted initializers. */
export async function evaluateWith(
  predictor: Predictor,
  dataset: Dataset,
  { batchSize = 256, signal, progress }: EvaluateOptions = {},
  state: Readonly<Record<string, Tensor>> = {},
): Promise<Evaluation> {
  const hits = new Uint8Array(dataset.size)
  let correct = 0
  let loss = 0
  let among5 = 0
  let outputs = 0
  for (let start = 0; start < dataset.size; start += batchSize) {
    if (signal?.aborted) throw aborted('evaluation')
    const count = Math.min(batchSize, dataset.size - start)
    const { inputs, labels } = await dataset.batch(Array.from({ length: count }, (_, i) => start + i))
    const { data, shape } = await predictor.predict(inputs, state)
    outputs = shape[1]
    for (let i = 0; i < count; i++) {
      const label = labels[i]
      if (label < 0 || label >= outputs) throw labelError(dataset, start + i, label, outputs)
      const row = data.subarray(i * outputs, (i + 1) * outputs)
      const rank = rankOf(row, label)
      if (rank === 0) {
        hits[start + i] = 1
        correct++
      }
      if (rank < 5) among5++
      loss += crossEntropyOf(row, label, predictor.form)
    }
    progress?.({
      task: 'evaluate',
      done: start + count,
      total: dataset.size,
      detail: { accuracy: correct / (start + count) },
    })
  }
  if (dataset.size === 0)
    throw new DataError('no-examples', 'there are no examples to evaluate on', { place: dataset.name })
  const accuracy = correct / dataset.size
  return {
    accuracy,
    error: 1 - accuracy,
    loss: loss / dataset.size,
    count: dataset.size,
    correct,
    ...(outputs > 5 ? { top5: among5 / dataset.size } : {}),
    hits,
  }
}

/** The error that long work throws when its signal says stop. */
export function aborted(task: string): UsageError {
  return new UsageError('aborted', `the ${task} was stopped`, {
    hint: 'Run it again; with a checkpoint it goes on from there.',
  })
}

function labelError(dataset: Dataset, example: number, label: number, outputs: number): Error {
  if (label < 0 || label >= dataset.classes)
    return new DataError('label-range', `example ${example} has the label ${label} of ${dataset.classes} classes`, {
      place: dataset.name,
      hint: 'Give data with the class of each example.',
    })
  return new UsageError('class-count', `the model has ${outputs} outputs, but the data ${dataset.classes} classes`, {
    place: dataset.name,
    hint: 'Choose the data that the model was made for, or name the output that holds the classes.',
  })
}

/** How many outputs come before the label's: 0 where it is the answer. */
function rankOf(row: Float32Array, label: number): number {
  const value = row[label]
  if (Number.isNaN(value)) return row.length
  let rank = 0
  for (let k = 0; k < row.length; k++) if (row[k] > value || (row[k] === value && k < label)) rank++
  return rank
}

function crossEntropyOf(row: Float32Array, label: number, form: OutputForm): number {
  if (form === 'log-probabilities') return -row[label]
  // A probability that was rounded to zero counts as the smallest normal float32.
  if (form === 'probabilities') return -Math.log(Math.max(row[label], 1.1754943508222875e-38))
  let largest = -Infinity
  for (const value of row) if (value > largest) largest = value
  let sum = 0
  for (const value of row) sum += Math.exp(value - largest)
  return Math.log(sum) + largest - row[label]
}
