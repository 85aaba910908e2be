/** Inputs for samples: deterministic, all different, without ties or values on the kinks of activations. */
import type { DType } from '../../tensor/dtype.ts'
import { fromNumbers } from '../../tensor/elements.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'

const GOLDEN = (Math.sqrt(5) - 1) / 2

/** Float32 numbers strewn evenly over (low, high) in an irregular order: the golden-ratio sequence. */
export function spread(shape: readonly number[], low = -2, high = 2): Tensor<'float32'> {
  return spreadOf('float32', shape, low, high)
}

/** The same in another type; integers are rounded down. `phase` in [0, 1) gives a different sequence. */
export function spreadOf<T extends DType>(
  dtype: T,
  shape: readonly number[],
  low = -2,
  high = 2,
  phase = 0.37,
): Tensor<T> {
  const values = Float64Array.from({ length: elementCount(shape) }, (_, i) => {
    const position = (phase + (i + 1) * GOLDEN) % 1
    return low + (high - low) * position
  })
  return fromNumbers(dtype, shape, values)
}

/** Truth values. */
export function truths(values: readonly (0 | 1)[], shape: readonly number[] = [values.length]): Tensor<'bool'> {
  return fromNumbers('bool', shape, values)
}
