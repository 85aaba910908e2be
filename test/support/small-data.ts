import type { Dataset } from '../../src/datasets/dataset.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { createTensor, elementCount } from '../../src/tensor/tensor.ts'

/**
 * A small made-up classification task: each class has a random pattern of the given shape, and each example is its
 * class's pattern in noise. Linear separation is nearly but not quite enough.
 */
export function patternData(options: {
  size: number
  seed: number
  classes?: number
  inputShape?: readonly number[]
  noise?: number
}): Dataset {
  const { size, seed, classes = 10, inputShape = [1, 28, 28], noise = 1 } = options
  const elements = elementCount(inputShape)
  const patterns = Array.from({ length: classes }, (_, k) => {
    const random = createRandom(1234).fork(k)
    return Float32Array.from({ length: elements }, () => (random.uniform() < 0.2 ? 1 : 0))
  })
  const random = createRandom(seed)
  const labels = Int32Array.from({ length: size }, () => random.integer(classes))
  const images = Float32Array.from(
    { length: size * elements },
    (_, i) => patterns[labels[Math.floor(i / elements)]][i % elements] + noise * random.normal(),
  )
  return {
    name: `patterns ${seed}`,
    size,
    inputShape,
    classes,
    async batch(indices) {
      const data = new Float32Array(indices.length * elements)
      const wanted = new Int32Array(indices.length)
      for (let i = 0; i < indices.length; i++) {
        data.set(images.subarray(indices[i] * elements, (indices[i] + 1) * elements), i * elements)
        wanted[i] = labels[indices[i]]
      }
      return { inputs: createTensor('float32', [indices.length, ...inputShape], data), labels: wanted }
    },
  }
}
