/** What the inputs of layers look like on data, for quantizers whose ranges or levels are taken from it. */
import type { Dataset } from '../../../../datasets/dataset.ts'
import { DataError } from '../../../../errors.ts'
import { createDraft } from '../../../../ir/draft.ts'
import type { Model } from '../../../../ir/model.ts'
import { toFloat32Model } from '../../../../ir/precision.ts'
import { rebatch } from '../../../../ir/shapes.ts'
import { toFloat32 } from '../../../../tensor/half.ts'
import { createRandom, type Random } from '../../../../tensor/random.ts'
import { createTensor } from '../../../../tensor/tensor.ts'
import { fitInput } from '../../../../training/predictor.ts'
import { CALIBRATION_BATCH } from '../../../calibration.ts'
import type { Context } from '../../../method.ts'

/** The numbers that a value took. */
export interface ValueStatistics {
  readonly min: number
  readonly max: number
  readonly mean: number
  /** E|x|. */
  readonly meanAbsolute: number
  /** The standard deviation. */
  readonly deviation: number
  /** Some of the numbers, drawn evenly from all examples, ascending. */
  readonly sorted: Float32Array
}

/** How many numbers of a value are kept. */
const MOST_KEPT = 2 ** 16

/** Calls `see` with what each of `values` is on each batch of the first `samples` examples. */
export async function watchValues(
  model: Model,
  values: readonly string[],
  data: Dataset,
  samples: number,
  context: Pick<Context, 'engine' | 'signal' | 'progress'>,
  see: (value: string, numbers: Float32Array) => void,
): Promise<void> {
  const wide = rebatch(toFloat32Model(model), CALIBRATION_BATCH)
  const input = fitInput(wide, data.inputShape)
  const draft = createDraft(wide)
  draft.outputs.splice(0)
  // A value may be the graph's input, which is no output of its own.
  const names = new Map(values.map((value) => [draft.add('Identity', [value]), value]))
  for (const name of names.keys()) draft.output(name, 'float32')
  const session = await context.engine.createSession(draft.finish(), { purpose: 'check' })
  const total = Math.min(samples, data.size)
  try {
    for (let start = 0; start < total; start += CALIBRATION_BATCH) {
      context.signal?.throwIfAborted()
      context.progress?.({ task: 'calibrate', done: start, total })
      const batch = await data.batch(Array.from({ length: CALIBRATION_BATCH }, (_, i) => (start + i) % total))
      const images = createTensor('float32', input.shape(CALIBRATION_BATCH), batch.inputs.data)
      const outputs = await session.run({ [input.name]: images })
      for (const [name, value] of names) see(value, toFloat32(outputs[name]))
    }
  } finally {
    await session.close()
  }
  context.progress?.({ task: 'calibrate', done: total, total })
}

/**
 * The statistics of all `values` from one pass over the first `samples` examples.
 * @param values by name, each with the layer that reads it.
 * @throws DataError that names the layer where a number is not finite.
 */
export async function valueStatistics(
  model: Model,
  values: ReadonlyMap<string, string>,
  data: Dataset,
  samples: number,
  context: Pick<Context, 'engine' | 'signal' | 'progress' | 'seed'>,
): Promise<ReadonlyMap<string, ValueStatistics>> {
  const batches = Math.ceil(Math.min(samples, data.size) / CALIBRATION_BATCH)
  const kept = Math.max(1, Math.floor(MOST_KEPT / batches))
  const sums = new Map([...values.keys()].map((value) => [value, emptySums(createRandom(context.seed))]))
  await watchValues(model, [...values.keys()], data, samples, context, (value, numbers) => {
    const wrong = numbers.find((number) => !Number.isFinite(number))
    if (wrong !== undefined)
      throw new DataError('calibration-not-finite', `layer '${values.get(value)}' reads ${wrong} on calibration data`, {
        place: values.get(value)!,
        hint: `Look for examples of '${data.name}' that are not finite, or exclude the layer.`,
      })
    add(sums.get(value)!, numbers, kept)
  })
  return new Map([...sums].map(([value, own]) => [value, finished(own)]))
}

interface Sums {
  readonly random: Random
  readonly kept: number[]
  min: number
  max: number
  count: number
  sum: number
  absolute: number
  squares: number
}

function emptySums(random: Random): Sums {
  return { random, kept: [], min: Infinity, max: -Infinity, count: 0, sum: 0, absolute: 0, squares: 0 }
}

function add(sums: Sums, numbers: Float32Array, most: number): void {
  for (const number of numbers) {
    if (number < sums.min) sums.min = number
    if (number > sums.max) sums.max = number
    sums.sum += number
    sums.absolute += Math.abs(number)
    sums.squares += number * number
  }
  sums.count += numbers.length
  if (numbers.length <= most) for (const number of numbers) sums.kept.push(number)
  else for (let i = 0; i < most; i++) sums.kept.push(numbers[sums.random.integer(numbers.length)])
}

function finished({ kept, min, max, count, sum, absolute, squares }: Sums): ValueStatistics {
  const mean = sum / count
  return {
    min,
    max,
    mean,
    meanAbsolute: absolute / count,
    deviation: Math.sqrt(Math.max(0, squares / count - mean * mean)),
    sorted: Float32Array.from(kept).toSorted(),
  }
}
