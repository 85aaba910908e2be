import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { constantValues } from '../../../../../src/ir/constant-values.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import type { Context } from '../../../../../src/methods/method.ts'
import { admmQuantization } from '../../../../../src/methods/quantization/weights/admm-quantization.ts'
import { withInitializers } from '../../../../../src/methods/weights.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createTensor, float32 } from '../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../src/training/evaluate.ts'
import { trainingSettings } from '../../../../../src/training/settings.ts'
import { train } from '../../../../../src/training/train.ts'
import { buildNetwork } from '../../../../../src/zoo/layers.ts'
import { patternData } from '../../../../support/small-data.ts'

const inputShape = [1, 6, 6]
const facts = { inputShape, classes: 4 }
const data = patternData({ size: 200, seed: 1, noise: 0.7, ...facts })

function network(): Model {
  return buildNetwork('linear', 1, inputShape, 4, (build, x) => build.linear(build.flatten(x), 'fc', 36, 4))
}

/** Examples that are all zero: the loss says nothing about weights, so that only the pull moves them. */
const nothing: Dataset = {
  ...patternData({ size: 40, seed: 1, ...facts }),
  batch: async (indices) => ({
    inputs: createTensor('float32', [indices.length, ...inputShape], new Float32Array(indices.length * 36)),
    labels: new Int32Array(indices.length),
  }),
}

/** Applies the method; `slots` has the names of what the optimizer of each training carries, for the weight. */
async function apply(model: Model, options: object, own: Partial<Context> = {}) {
  const slots = new Set<string>()
  const engine: Context['engine'] = {
    ...onnxruntime,
    async createSession(graph, given) {
      for (const { name } of graph.graph.inputs) if (name.startsWith('fc.weight.')) slots.add(name)
      return onnxruntime.createSession(graph, given)
    },
  }
  const context: Context = { seed: 1, engine, skip: () => {}, data: { train: data, validation: data }, ...own }
  const result = await admmQuantization.apply(model, admmQuantization.options.parse(options), context)
  return { result, slots }
}

function weightOf(model: Model): number[] {
  const [{ node, input }] = layers(model)
  return [...toFloat32(constantValues(model)(node.inputs[input])!)]
}

/** The nearest α q with q of {0, ±1, ±2}, by trying all scales of a fine grid. */
function nearest(values: readonly number[]): number[] {
  const top = Math.max(...values.map(Math.abs))
  const pointAt = (scale: number) =>
    values.map((value) => {
      const levels = [0, 1, 2].map((level) => scale * level)
      const size = Math.abs(value)
      const level = levels.reduce((best, one) => (Math.abs(size - one) < Math.abs(size - best) ? one : best), 0)
      return value < 0 ? -level : level
    })
  const errorOf = (point: readonly number[]) => point.reduce((sum, one, i) => sum + (values[i] - one) ** 2, 0)
  let best = { scale: top, error: Infinity }
  for (let i = 1; i <= 4000; i++) {
    const error = errorOf(pointAt((top * i) / 4000))
    if (error < best.error) best = { scale: (top * i) / 4000, error }
  }
  const codes = pointAt(best.scale).map((value) => Math.round(value / best.scale))
  const [product, squares] = codes.reduce(([p, s], q, i) => [p + q * values[i], s + q * q], [0, 0])
  return codes.map((code) => (code * product) / squares)
}

describe('quantization by ADMM', () => {
  it('takes the steps of the paper: W towards Z − U, Z the quantized point nearest to W + U, U the sum of what is between', async () => {
    const [rho, growth, iterations, rate] = [0.5, 2, 3, 0.1]
    const retrain = { epochs: 2, batchSize: 10, learningRate: rate, momentum: 0, optimizer: 'sgd' }
    const model = network()
    const options = { powers: 2, rho, growth, iterations, retrain, finish: false }
    const { result } = await apply(model, options, { data: { train: nothing, validation: nothing } })
    let w = [...toFloat32(model.graph.initializers.get('fc.weight')!)]
    let z = nearest(w)
    let u = w.map(() => 0)
    for (let k = 0; k < iterations; k++) {
      for (let step = 0; step < 8; step++)
        w = w.map((value, i) => value - rate * rho * growth ** k * (value - z[i] + u[i]))
      const sum = w.map((value, i) => value + u[i])
      z = nearest(sum)
      // ρ U is what does not change with ρ.
      u = sum.map((value, i) => (value - z[i]) / growth)
    }
    const expected = nearest(w)
    for (const [i, value] of weightOf(result).entries()) expect(value).toBeCloseTo(expected[i], 4)
  })

  it('loses less than the projection alone, and trains biases around fixed codes', async () => {
    const { model } = await train(network(), {
      data,
      settings: trainingSettings.parse({ epochs: 10, batchSize: 20, learningRate: 0.05 }),
      engine: onnxruntime,
      seed: 1,
    })
    const lossOf = async (quantized: Model) => (await evaluate(quantized, data, onnxruntime)).loss
    const options = { powers: 1, rho: 0.3, iterations: 4, retrain: { epochs: 2, batchSize: 20, learningRate: 0.05 } }
    const once = await apply(model, { ...options, retrain: false })
    const led = await apply(model, { ...options, finish: false })
    const finished = await apply(model, options)
    const losses = await Promise.all([once, led, finished].map(({ result }) => lossOf(result)))
    expect(losses[1]).toBeLessThan(losses[0])
    expect(losses[2]).toBeLessThan(losses[1])
    expect(weightOf(finished.result)).toEqual(weightOf(led.result))
    expect(new Set(weightOf(led.result).map(Math.abs)).size).toBe(2)
  })

  it('takes extra-gradient steps, unless the recipe has another rule', async () => {
    const options = { iterations: 1, retrain: { epochs: 0.2, momentum: 0 }, finish: false }
    const paper = await apply(network(), options)
    expect([...paper.slots].some((name) => name.includes('anchor'))).toBe(true)
    const other = await apply(network(), options, { training: { optimizer: 'sgd' } })
    expect([...other.slots].some((name) => name.includes('anchor'))).toBe(false)
  })

  it('keeps zeros and drops as the network says: it prunes nothing', async () => {
    const draft = createDraft(network())
    const [{ node }] = layers(network())
    draft.interpose(node.inputs[0], () => draft.add('Dropout', [node.inputs[0]]))
    const model = draft.finish()
    const weight = model.graph.initializers.get('fc.weight')!
    const half = toFloat32(weight).map((value, i) => (i % 2 === 0 ? 0 : value))
    const sparse = withInitializers(model, new Map([['fc.weight', float32(half, weight.shape)]]))
    const kept = new Set<number>()
    const engine: Context['engine'] = {
      ...onnxruntime,
      async createSession(given, options) {
        for (const [name, tensor] of given.graph.initializers)
          if (name.startsWith('dropout.scale')) kept.add(1 / toFloat32(tensor)[0])
        return onnxruntime.createSession(given, options)
      },
    }
    const { result } = await apply(sparse, { iterations: 1, retrain: { epochs: 0.2 }, finish: false }, { engine })
    expect([...kept]).toEqual([0.5])
    expect(weightOf(result).filter((_, i) => i % 2 === 0)).toEqual(Array<number>(72).fill(0))
  })

  it('has a scale for each filter where that is asked', async () => {
    const { result } = await apply(network(), {
      powers: 1,
      granularity: 'channel',
      iterations: 2,
      retrain: { epochs: 1 },
    })
    const weights = weightOf(result)
    const scales = [0, 1, 2, 3].map((row) => {
      const sizes = new Set(weights.slice(row * 36, row * 36 + 36).map(Math.abs))
      expect(sizes.size).toBeLessThanOrEqual(2)
      return Math.max(...sizes)
    })
    expect(new Set(scales).size).toBe(4)
  })

  it('projects without data, and needs some when training is asked for', async () => {
    const { result } = await apply(network(), { powers: 2 }, { data: undefined })
    expect(new Set(weightOf(result).map(Math.abs)).size).toBeLessThanOrEqual(3)
    await expect(apply(network(), { retrain: { epochs: 1 } }, { data: undefined })).rejects.toMatchObject({
      code: 'retrain-without-data',
    })
  })
})
