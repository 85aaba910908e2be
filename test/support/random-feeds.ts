import type { Model } from '../../src/ir/model.ts'
import { fromNumbers } from '../../src/tensor/elements.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { elementCount, type Tensor } from '../../src/tensor/tensor.ts'

/** Numbers from a standard normal distribution for every input; open sizes become `open`. */
export function randomFeeds(model: Model, seed: number, open = 2): Record<string, Tensor> {
  const random = createRandom(seed)
  const fed = model.graph.inputs.filter(({ name }) => !model.graph.initializers.has(name))
  return Object.fromEntries(
    fed.map(({ name, type }) => {
      const shape = type!.shape!.map((size) => (typeof size === 'number' ? size : open))
      const values = Float64Array.from({ length: elementCount(shape) }, () => random.normal())
      return [name, fromNumbers(type!.dtype, shape, values)]
    }),
  )
}
