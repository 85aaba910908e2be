import { fromNumbers } from '../../tensor/elements.ts'
import { createRandom } from '../../tensor/random.ts'
import { elementCount, float32, type Tensor } from '../../tensor/tensor.ts'

/** A float32 tensor of seeded normal numbers, for samples: no two equal, so that a maximum is unique. */
export function noise(seed: number, shape: readonly number[]): Tensor<'float32'> {
  const random = createRandom(seed)
  return float32(
    Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
  )
}

/** Positive numbers in [low, low + 1), for samples. */
export function positiveNoise(seed: number, shape: readonly number[], low = 0.5): Tensor<'float32'> {
  const random = createRandom(seed)
  return float32(
    Float32Array.from({ length: elementCount(shape) }, () => low + random.uniform()),
    shape,
  )
}

/** Seeded integers in [low, high], for samples. */
export function integerNoise<T extends 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'int4' | 'uint4'>(
  seed: number,
  dtype: T,
  shape: readonly number[],
  low: number,
  high: number,
): Tensor<T> {
  const random = createRandom(seed)
  const values = Float64Array.from({ length: elementCount(shape) }, () => low + random.integer(high - low + 1))
  return fromNumbers(dtype, shape, values)
}
