/** Which examples a step sees, in which form: pure functions of seed, epoch and step, so resuming needs no stored state. */
import { DataError } from '../errors.ts'
import { checkInputs, type Dataset } from '../datasets/dataset.ts'
import { createRandom, type Random } from '../tensor/random.ts'
import { createTensor, elementCount, type Tensor } from '../tensor/tensor.ts'
import { augment } from './augmentation.ts'
import type { RandomInput } from './forward.ts'
import type { TrainingSettings } from './settings.ts'

/** The order of the examples in an epoch: a permutation of 0 … size − 1. */
export function epochOrder(size: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length: size }, (_, index) => index)
  return createRandom(seed).fork(`epoch ${epoch} order`).shuffle(order)
}

export interface StepBatches {
  /** Which examples these are: `[steps · N]`. */
  readonly examples: Uint32Array
  /** `[steps, N, ...inputShape]`. */
  readonly images: Tensor<'float32'>
  /** `[steps, N]`. */
  readonly labels: Tensor<'int32'>
  /** One entry a random input, `[steps, ...shape]`. */
  readonly random: readonly Tensor<'bool' | 'float32'>[]
}

export interface BatchRequest {
  readonly dataset: Dataset
  readonly order: Uint32Array
  readonly seed: number
  readonly epoch: number
  /** Position in the epoch of the first step's first example. */
  readonly start: number
  readonly steps: number
  readonly batchSize: number
  readonly settings: Pick<TrainingSettings, 'augmentation' | 'shift'>
  /** The random inputs of a step with `batchSize` examples. */
  readonly random: readonly RandomInput[]
}

/**
 * The examples of some consecutive steps, in one read.
 * @throws DataError when the data set gives other than it promised: a wrong count or shape, numbers that are none, or a
 * label out of range.
 */
export async function readBatches(request: BatchRequest): Promise<StepBatches> {
  const { dataset, order, start, steps, batchSize } = request
  const count = steps * batchSize
  const examples = order.subarray(start, start + count)
  const batch = await dataset.batch(examples)
  const shape = [steps, batchSize, ...dataset.inputShape]
  if (batch.labels.length !== count || batch.inputs.data.length !== elementCount(shape))
    throw new DataError('batch-size', `${count} examples were asked for, and others came`, { place: dataset.name })
  checkInputs(dataset, examples, batch)
  const wrong = batch.labels.findIndex((label) => label < 0 || label >= dataset.classes)
  if (wrong >= 0)
    throw new DataError(
      'label-range',
      `example ${order[start + wrong]} has the label ${batch.labels[wrong]}, but there are ${dataset.classes} classes`,
      { place: dataset.name },
    )
  const random = (purpose: string, example: number) =>
    createRandom(request.seed).fork(`epoch ${request.epoch} ${purpose} ${example}`)
  let images = batch.inputs
  if (request.settings.augmentation !== 'none') {
    // A stream for each step, so that results do not depend on how many steps a run takes.
    const flat = createTensor('float32', [count, ...dataset.inputShape], images.data)
    const size = elementCount(dataset.inputShape) * batchSize
    const result = new Float32Array(flat.data.length)
    for (let step = 0; step < steps; step++) {
      const data = flat.data.subarray(step * size, (step + 1) * size)
      const one = createTensor('float32', [batchSize, ...dataset.inputShape], data)
      result.set(augment(one, request.settings, random('augmentation', start + step * batchSize)).data, step * size)
    }
    images = createTensor('float32', shape, result)
  }
  return {
    examples,
    images: createTensor('float32', shape, images.data),
    labels: createTensor('int32', [steps, batchSize], batch.labels),
    random: request.random.map((input, index) => {
      const purpose = input.values.kind === 'kept' ? 'dropout' : 'noise'
      return drawRandom(input, steps, (step) => random(`${purpose} ${index}`, start + step * batchSize))
    }),
  }
}

/** Values of a random input for some steps, of which each has a stream of its own. */
function drawRandom(
  { shape, values }: RandomInput,
  steps: number,
  random: (step: number) => Random,
): Tensor<'bool' | 'float32'> {
  const size = elementCount(shape)
  const whole = [steps, ...shape]
  if (values.kind === 'kept') {
    const data = new Uint8Array(steps * size)
    const limit = values.keep * 2 ** 32
    forEachElement(steps, size, random, (i, bits) => (data[i] = bits < limit ? 1 : 0))
    return createTensor('bool', whole, data)
  }
  const data = new Float32Array(steps * size)
  // 24 bits are what float32 holds exactly; more could round to 1.
  forEachElement(steps, size, random, (i, bits) => (data[i] = (bits >>> 8) * 2 ** -24))
  return createTensor('float32', whole, data)
}

function forEachElement(
  steps: number,
  size: number,
  random: (step: number) => Random,
  visit: (index: number, bits: number) => void,
): void {
  for (let step = 0; step < steps; step++) {
    const { bits } = random(step)
    const end = (step + 1) * size
    for (let i = step * size; i < end; i++) visit(i, bits())
  }
}
