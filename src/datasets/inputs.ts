import type { Dataset } from './dataset.ts'
import type { Model, ValueInfo } from '../ir/model.ts'
import { dtypes } from '../tensor/dtype.ts'
import { fromFloat32 } from '../tensor/half.ts'
import { createRandom, type Random } from '../tensor/random.ts'
import { elementCount, zeros, type Tensor } from '../tensor/tensor.ts'

/** The most numbers that a made-up input gets. */
const MOST_ELEMENTS = 2 ** 26

/** The graph inputs that somebody has to feed: those without an initializer. */
export function fedInputs(model: Model): ValueInfo[] {
  return model.graph.inputs.filter((input) => !model.graph.initializers.has(input.name))
}

/**
 * Inputs to run a model with: examples of `data` where it fits, otherwise random numbers, the same for the same seed.
 * Symbolic sizes become `batch` in front and 1 elsewhere.
 * @returns undefined where an input's type or rank is not declared, or asks for too much memory.
 */
export async function sampleInputs(
  model: Model,
  options: { readonly seed: number; readonly batch: number; readonly data?: Dataset },
): Promise<Record<string, Tensor> | undefined> {
  const examples = await exampleInputs(model, options)
  if (examples) return examples
  const random = createRandom(options.seed)
  const feeds: Record<string, Tensor> = {}
  for (const input of fedInputs(model)) {
    const tensor = madeUp(input, options.batch, random)
    if (!tensor) return undefined
    feeds[input.name] = tensor
  }
  return feeds
}

/**
 * The first examples of `data` as inputs of the model, as many as it takes at once, or else up to `batch`.
 * @returns undefined without data, or where the model has several inputs or takes more examples than there are.
 */
export async function exampleInputs(
  model: Model,
  { batch, data }: { readonly batch: number; readonly data?: Dataset },
): Promise<Record<string, Tensor> | undefined> {
  const [input, ...others] = fedInputs(model)
  if (!data || data.size === 0 || !input || others.length > 0) return undefined
  const fixed = input.type?.shape?.[0]
  const count = typeof fixed === 'number' ? fixed : Math.min(batch, data.size)
  if (count > data.size) return undefined
  const { inputs } = await data.batch(Array.from({ length: count }, (_, i) => i))
  const dtype = input.type?.dtype ?? 'float32'
  return { [input.name]: dtype === 'float32' ? inputs : fromFloat32(dtype, inputs.shape, inputs.data) }
}

function madeUp({ type }: ValueInfo, batch: number, random: Random): Tensor | undefined {
  if (!type?.shape) return undefined
  const shape = type.shape.map((size, axis) => (typeof size === 'number' ? size : axis === 0 ? batch : 1))
  const count = elementCount(shape)
  if (count > MOST_ELEMENTS) return undefined
  if (dtypes[type.dtype].kind === 'string' || dtypes[type.dtype].kind === 'complex') return zeros(type.dtype, shape)
  const float = dtypes[type.dtype].kind === 'float'
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++) values[i] = float ? random.normal() : random.integer(2)
  return fromFloat32(type.dtype, shape, values)
}
