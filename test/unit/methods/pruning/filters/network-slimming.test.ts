import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { UnsupportedError } from '../../../../../src/errors.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import type { Context } from '../../../../../src/methods/method.ts'
import { networkSlimming } from '../../../../../src/methods/pruning/filters/network-slimming.ts'
import { float32 } from '../../../../../src/tensor/tensor.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { buildNetwork } from '../../../../../src/zoo/layers.ts'
import { patternData } from '../../../../support/small-data.ts'

/** Two convolutions of six filters with batch normalization, whose scales are given, and a linear layer. */
function convolutions(first: readonly number[], second: readonly number[], residual = false): Model {
  const model = buildNetwork('test', 1, [1, 6, 6], 3, (layers, input) => {
    const unit = (x: string, name: string, inputs: number) =>
      layers.relu(layers.batchNorm(layers.convolution(x, name, inputs, 6, 3, { padding: 1 }), `${name}.bn`, 6))
    const a = unit(input, 'one', 1)
    const b = unit(a, 'two', 6)
    const x = residual ? layers.add(a, b) : b
    return layers.linear(layers.flatten(layers.globalAveragePool(x)), 'fc', 6, 3)
  })
  const initializers = new Map(model.graph.initializers)
  initializers.set('one.bn.weight', float32([...first]))
  initializers.set('two.bn.weight', float32([...second]))
  return { ...model, graph: { ...model.graph, initializers } }
}

const one = [0.5, -0.9, 0.1, 0.7, -0.2, 0.8]
const two = [0.6, 0.05, 0.4, -0.3, 0.35, 1]

function context(withData = false): Context {
  const facts = { inputShape: [1, 6, 6], classes: 3 }
  return {
    seed: 1,
    engine: onnxruntime,
    skip: () => {},
    ...(withData
      ? {
          data: {
            train: patternData({ size: 240, seed: 1, ...facts }),
            validation: patternData({ size: 30, seed: 2, ...facts }),
          },
        }
      : {}),
  }
}

const slim = (model: Model, options: object, where = context()) =>
  networkSlimming.apply(model, networkSlimming.options.parse(options), where)
const values = (model: Model, name: string) => [...toFloat32(model.graph.initializers.get(name)!)]
const sum = (numbers: readonly number[]) => numbers.reduce((total, value) => total + Math.abs(value), 0)

describe('network slimming', () => {
  it('removes the channels with the smallest absolute scales of all layers, as they are', async () => {
    const result = await slim(convolutions(one, two), { ratio: 5 / 12 })
    // 0.05, 0.1, 0.2, 0.3 and 0.35 are the five smallest of twelve.
    expect(values(result, 'one.bn.weight')).toEqual([...new Float32Array([0.5, -0.9, 0.7, 0.8])])
    expect(values(result, 'two.bn.weight')).toEqual([...new Float32Array([0.6, 0.4, 1])])
    expect(result.graph.initializers.get('two.weight')!.shape).toEqual([3, 4, 3, 3])
    expect(result.graph.initializers.get('fc.weight')!.shape).toEqual([3, 3])
  })

  it('takes the largest of the scales where a residual connection ties layers', async () => {
    const result = await slim(convolutions(one, two, true), { ratio: 2 / 6 })
    // The largest of each channel: 0.6, 0.9, 0.4, 0.7, 0.35, 1.
    expect(values(result, 'one.bn.weight')).toEqual([...new Float32Array([0.5, -0.9, 0.7, 0.8])])
    expect(values(result, 'two.bn.weight')).toEqual([...new Float32Array([0.6, 0.05, -0.3, 1])])
  })

  it('trains nothing where no channel can be cut, and says why', async () => {
    const model = convolutions(one, two)
    const skipped: string[] = []
    const where = {
      ...context(true),
      skip: (layer: string, reason: string) => void skipped.push(`${layer}: ${reason}`),
    }
    expect(await slim(model, { include: ['fc'], retrain: false }, where)).toBe(model)
    expect(skipped.join()).toMatch(/fc: its filters cannot be removed: .* is an output of the model/)
  })

  it('drives scales towards zero while training, the more the larger lambda is', async () => {
    const model = convolutions(one, two)
    const sparse = { epochs: 6, batchSize: 16, learningRate: 0.05 }
    const scalesAfter = async (lambda: number) => {
      const result = await slim(model, { lambda, sparse, ratio: 0, retrain: false }, context(true))
      return sum(values(result, 'one.bn.weight')) + sum(values(result, 'two.bn.weight'))
    }
    const [none, some, much] = [await scalesAfter(0), await scalesAfter(0.01), await scalesAfter(0.1)]
    expect(some).toBeLessThan(0.97 * none)
    expect(much).toBeLessThan(0.6 * some)
  })

  it('leaves the scales alone without data, and where sparse is false', async () => {
    const model = convolutions(one, two)
    for (const where of [context(), context(true)]) {
      const result = await slim(model, { sparse: false, ratio: 0, retrain: false, lambda: 1 }, where)
      expect(values(result, 'two.bn.weight')).toEqual(values(model, 'two.bn.weight'))
    }
  })

  it('names a layer that no batch normalization follows, and the way out', async () => {
    const model = buildNetwork('test', 1, [4], 3, (layers, input) =>
      layers.linear(layers.relu(layers.linear(input, 'plain', 4, 8)), 'fc', 8, 3),
    )
    const attempt = slim(model, { ratio: 0.5 })
    await expect(attempt).rejects.toBeInstanceOf(UnsupportedError)
    await expect(slim(model, { ratio: 0.5 })).rejects.toMatchObject({
      code: 'no-batch-normalization',
      place: 'plain',
      hint: expect.stringContaining('Exclude the layer'),
    })
  })
})
