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
