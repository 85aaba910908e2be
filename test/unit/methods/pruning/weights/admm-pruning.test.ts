import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import type { Context } from '../../../../../src/methods/method.ts'
import { admmPruning } from '../../../../../src/methods/pruning/weights/admm-pruning.ts'
import { magnitude } from '../../../../../src/methods/pruning/weights/magnitude.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createTensor } from '../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../src/training/evaluate.ts'
import { trainingSettings } from '../../../../../src/training/settings.ts'
import { train } from '../../../../../src/training/train.ts'
import { buildNetwork } from '../../../../../src/zoo/layers.ts'
import { patternData } from '../../../../support/small-data.ts'

const inputShape = [1, 6, 6]
const facts = { inputShape, classes: 4 }

function linear(): Model {
  return buildNetwork('linear', 1, inputShape, 4, (layers, x) => layers.linear(layers.flatten(x), 'fc', 36, 4))
}

function contextWith(data: Dataset, validation = data): Context {
  return { seed: 1, engine: onnxruntime, skip: () => {}, data: { train: data, validation } }
}

/** Examples that are all zero: the loss says nothing about weights, so that only the pull moves them. */
const nothing: Dataset = {
  ...patternData({ size: 40, seed: 1, ...facts }),
  batch: async (indices) => ({
    inputs: createTensor('float32', [indices.length, ...inputShape], new Float32Array(indices.length * 36)),
    labels: new Int32Array(indices.length),
  }),
}

const weights = (model: Model, name = 'fc.weight') => [...toFloat32(model.graph.initializers.get(name)!)]
const apply = (model: Model, options: object, context: Context) =>
  admmPruning.apply(model, admmPruning.options.parse(options), context)

/** The nearest point with `keep` weights: the largest stay. */
function projected(values: readonly number[], keep: number): number[] {
  const order = values.map((_, i) => i).toSorted((a, b) => Math.abs(values[b]) - Math.abs(values[a]))
  const kept = new Set(order.slice(0, keep))
  return values.map((value, i) => (kept.has(i) ? value : 0))
}

describe('pruning by ADMM', () => {
  it('takes the steps of the paper: W towards Z − U, Z the sparse point nearest to W + U, U the sum of what is between', async () => {
    const [rho, growth, iterations, rate, keep] = [0.5, 2, 3, 0.1, 29]
    const options = {
      rho,
      growth,
      iterations,
      sparsity: 1 - keep / 144,
      regularize: { epochs: 2, batchSize: 10, learningRate: rate, momentum: 0 },
      retrain: false,
    }
    const model = linear()
    const result = weights(await apply(model, options, contextWith(nothing)))
    let w = weights(model)
    let z = projected(w, keep)
    let u = w.map(() => 0)
    for (let k = 0; k < iterations; k++) {
      for (let step = 0; step < 8; step++)
        w = w.map((value, i) => value - rate * rho * growth ** k * (value - z[i] + u[i]))
      const sum = w.map((value, i) => value + u[i])
      z = projected(sum, keep)
      u = sum.map((value, i) => (value - z[i]) / growth)
    }
    const expected = projected(w, keep)
    expect(result.filter((value) => value !== 0)).toHaveLength(keep)
    for (const [i, value] of result.entries()) expect(value).toBeCloseTo(expected[i], 5)
  })

  it('loses less by the cut than pruning by magnitude does', async () => {
    const data = patternData({ size: 600, seed: 1, noise: 0.7, ...facts })
    const test = patternData({ size: 400, seed: 2, noise: 0.7, ...facts })
    const settings = { epochs: 5, batchSize: 20, learningRate: 0.05 }
    const { model } = await train(linear(), {
      data,
      settings: trainingSettings.parse(settings),
      engine: onnxruntime,
      seed: 1,
    })
    const errorOf = async (pruned: Model) => (await evaluate(pruned, test, onnxruntime)).error
    const amount = { sparsity: 0.9, retrain: false }
    const context = contextWith(data)
    const cut = await errorOf(await magnitude.apply(model, magnitude.options.parse(amount), context))
    const options = { ...amount, rho: 0.3, iterations: 4, regularize: { ...settings, epochs: 2 } }
    const led = await errorOf(await apply(model, options, context))
    expect(led).toBeLessThan(0.7 * cut)
  })

  it('goes on from what earlier rounds left, of which nothing comes back', async () => {
    const data = patternData({ size: 100, seed: 1, ...facts })
    const seen: number[][] = []
    const engine: Context['engine'] = {
      ...onnxruntime,
      async createSession(model, options) {
        const mask = [...model.graph.initializers].find(([name]) => name.includes('fc.weight.mask'))
        if (mask) seen.push([...toFloat32(mask[1])])
        return onnxruntime.createSession(model, options)
      },
    }
    const options = {
      sparsity: 0.9,
      rounds: 3,
      iterations: 2,
      regularize: { epochs: 1 },
      retrain: { epochs: 1 },
    }
    const result = weights(await apply(linear(), options, { ...contextWith(data), engine }))
    expect(result.filter((value) => value !== 0)).toHaveLength(Math.round(144 * 0.1))
    expect(seen.length).toBeGreaterThan(3)
    for (const [i, value] of result.entries()) for (const mask of seen) expect(mask[i] === 0 && value !== 0).toBe(false)
  })

  it('needs data, and says so', async () => {
    const context: Context = { seed: 1, engine: onnxruntime, skip: () => {} }
    await expect(apply(linear(), { sparsity: 0.5 }, context)).rejects.toMatchObject({ code: 'retrain-without-data' })
  })
})
