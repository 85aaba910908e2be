import { DataError } from '../errors.ts'
import { createRandom } from '../tensor/random.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Some examples, ready to feed: inputs `[N, ...inputShape]` in float32, one label each. */
export interface Batch {
  readonly inputs: Tensor<'float32'>
  readonly labels: Int32Array
}

/**
 * Examples with random access by index. Data that does not fit memory is read as `batch` asks for it.
 * Preprocessing (scaling, mean, crop, channel order) is already applied.
 */
export interface Dataset {
  /** The specification that it was opened with, such as `mnist:DIR`. */
  readonly name: string
  readonly size: number
  /** Shape of one example, without the batch axis: `[1, 28, 28]`. */
  readonly inputShape: readonly number[]
  readonly classes: number
  readonly classNames?: readonly string[]
  /** @throws DataError that names the record when it cannot be read. */
  batch(indices: ArrayLike<number>): Promise<Batch>
}

/** The parts of a data set. Validation is split from training by a seeded shuffle; test is never used for choices. */
export interface DataSplits {
  readonly train: Dataset
  readonly validation: Dataset
  readonly test: Dataset
}

/** What to do about data of which nothing is left to train on, for the hint of an error. */
export const NO_TRAINING_EXAMPLES =
  'Set examples apart for training: of one folder or array all are for testing, unless test says less, as in ?test=0.2.'

/** The examples of `dataset` at `indices`, as a data set of its own. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  const facts = { ...dataset, size: indices.length }
  return {
    ...facts,
    async batch(wanted) {
      checkIndices(facts, wanted)
      return dataset.batch(Array.from(wanted, (index) => indices[index]))
    },
  }
}

/**
 * Sets `held` randomly chosen examples aside: the first part has the others. Both keep the order of the data set,
 * and the same seed gives the same parts.
 */
export function splitDataset(dataset: Dataset, held: number, seed: number): readonly [rest: Dataset, held: Dataset] {
  const order = Uint32Array.from({ length: dataset.size }, (_, index) => index)
  createRandom(seed).shuffle(order)
  return [subset(dataset, order.slice(held).sort()), subset(dataset, order.slice(0, held).sort())]
}

/** @throws DataError that names the first of the examples `indices` whose inputs, `batch`, are not all finite. */
export function checkInputs({ name }: Dataset, indices: ArrayLike<number>, { inputs: { data } }: Batch): void {
  const wrong = data.findIndex((value) => !Number.isFinite(value))
  if (wrong < 0) return
  const example = indices[Math.floor((wrong * indices.length) / data.length)]
  throw new DataError('input-not-finite', `example ${example} of '${name}' holds ${data[wrong]}`, {
    place: name,
    hint: 'Take the example out of the data, or look at how its file was made.',
  })
}

/** @throws DataError when an index is not one of the data set's. */
export function checkIndices(dataset: { readonly name: string; readonly size: number }, indices: ArrayLike<number>) {
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]
    if (Number.isInteger(index) && index >= 0 && index < dataset.size) continue
    const hint =
      dataset.size > 0
        ? `Ask for records 0 to ${dataset.size - 1}.`
        : 'This part of the data is empty: set examples aside for it, as with ?test=0.2.'
    throw new DataError('record-range', `there is no record ${index} among ${dataset.size}`, {
      place: dataset.name,
      hint,
    })
  }
}
