import { differentiate } from '../../src/autodiff/gradient.ts'
import { referenceEngine } from '../../src/engines/reference.ts'
import { createDraft, type Draft } from '../../src/ir/draft.ts'
import { noise } from '../../src/ir/families/noise.ts'
import type { Model } from '../../src/ir/model.ts'
import { fromNumbers, toNumbers } from '../../src/tensor/elements.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'

/** A graph in double precision whose inputs are seeded noise, with a scalar loss at its end. */
export interface Scene {
  readonly draft: Draft
  readonly feeds: Record<string, Tensor>
  /** Declares a float64 input of noise and returns its name. */
  input(name: string, shape: readonly number[], shift?: number): string
  /** The sum of a value times fixed noise of its shape: a loss to which every element matters differently. */
  loss(value: string, shape: readonly number[]): void
}

export function createScene(): Scene {
  const draft = createDraft()
  draft.opsets.set('espalier', 1)
  const feeds: Record<string, Tensor> = {}
  const input: Scene['input'] = (name, shape, shift = 0) => {
    const values = Array.from(noise(Object.keys(feeds).length * 13 + 5, shape).data, (value) => value + shift)
    feeds[name] = fromNumbers('float64', shape, values)
    return draft.input(name, 'float64', shape)
  }
  return {
    draft,
    feeds,
    input,
    loss(value, shape) {
      draft.add(
        'ReduceSum',
        [draft.add('Mul', [value, input('factor', shape)])],
        { keepdims: 0 },
        { outputs: ['loss'] },
      )
      draft.output('loss', 'float64', [])
    },
  }
}

/**
 * The largest difference between the gradients and central differences of the loss, relative to the largest gradient,
 * over at most `samples` elements of each value.
 */
export async function gradientError(
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
  names: readonly string[],
  { loss = 'loss', samples = 12 } = {},
): Promise<number> {
  const { model: differentiated, gradients } = differentiate(model, { loss, parameters: names })
  const analytic = await evaluate(differentiated, feeds)
  let worst = 0
  for (const name of names) {
    const gradient = toNumbers(analytic[gradients.get(name)!])
    const scale = Math.max(1, ...Array.from(gradient, Math.abs))
    const step = Math.max(1, Math.floor(gradient.length / samples))
    for (let i = 0; i < gradient.length; i += step) {
      const difference =
        (await shifted(model, feeds, name, i, 1e-5, loss)) - (await shifted(model, feeds, name, i, -1e-5, loss))
      worst = Math.max(worst, Math.abs(difference / 2e-5 - gradient[i]) / scale)
    }
  }
  return worst
}

async function shifted(
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
  name: string,
  index: number,
  by: number,
  loss: string,
): Promise<number> {
  const { dtype, shape, data } = feeds[name]
  const values = Float64Array.from(data as Float64Array)
  values[index] += by
  const results = await evaluate(model, { ...feeds, [name]: fromNumbers(dtype, shape, values) })
  return Number(results[loss].data[0])
}

async function evaluate(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
  const session = await referenceEngine.createSession(model)
  return session.run(feeds)
}
