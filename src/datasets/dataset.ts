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

/** The examples of `dataset` at `indices`, as a data set of its own. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  return {
    ...dataset,
    size: indices.length,
    batch: (wanted) => dataset.batch(Array.from(wanted, (index) => indices[index])),
  }
}
