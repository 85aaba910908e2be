import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { foldConstants } from '../../../src/ir/fold.ts'
import type { Model } from '../../../src/ir/model.ts'
import { layers } from '../../../src/ir/rewrite.ts'
import { verify } from '../../../src/ir/verify.ts'
import type { Context } from '../../../src/methods/method.ts'
import { kMeans } from '../../../src/methods/sharing/k-means.ts'
import { fromFloat32, toFloat32 } from '../../../src/tensor/half.ts'
import { createTensor, float32, type Tensor } from '../../../src/tensor/tensor.ts'
import { patternData } from '../../support/small-data.ts'
import { tinyModels } from '../../support/tiny-models.ts'

const [mlp, cnn, , , tied] = tinyModels()

function context(skipped: string[] = []): Context {
  return { seed: 1, engine: onnxruntime, skip: (layer, reason) => skipped.push(`${layer}: ${reason}`) }
}

const share = (model: Model, options: object, where = context()) =>
  kMeans.apply(model, kMeans.options.parse(options), where)

/** The weights that a layer computes with, whatever form they have. */
function weightsOf(model: Model, layer: string): Float32Array {
  const dense = foldConstants(model, { all: true })
  return toFloat32(dense.graph.initializers.get(layers(dense).find(({ name }) => name === layer)!.weight)!)
}

function withWeight(model: Model, name: string, tensor: Tensor): Model {
  return { ...model, graph: { ...model.graph, initializers: new Map(model.graph.initializers).set(name, tensor) } }
}

describe('k-means', () => {
  it('leaves at most 2^bits values, each weight at the nearest one', async () => {
    const result = await share(mlp.model, { bits: 3 })
    expect(verify(result)).toEqual([])
    const before = toFloat32(mlp.model.graph.initializers.get('fc1.weight')!)
    const after = weightsOf(result, 'fc1')
    const values = [...new Set(after)]
    expect(values.length).toBeLessThanOrEqual(8)
    for (const [i, value] of before.entries()) {
      const best = Math.min(...values.map((shared) => Math.abs(shared - value)))
      expect(Math.abs(after[i] - value)).toBeCloseTo(best, 6)
    }
    expect(result.graph.initializers.get('fc1.weight.indices')!.dtype).toBe('uint8')
    expect(result.graph.initializers.has('fc1.weight')).toBe(false)
  })

  it('keeps zeros at code 0 in a pruned layer, with codebooks a layer and a channel, before and after training', async () => {
    const pruned = float32(
      toFloat32(mlp.model.graph.initializers.get('fc1.weight')!).map((value, i) => (i % 3 ? 0 : value)),
      [16, 8],
    )
    const model = withWeight(mlp.model, 'fc1.weight', pruned)
    const options = { size: 60, classes: 4, inputShape: [8] }
    const data = { train: patternData({ ...options, seed: 1 }), validation: patternData({ ...options, seed: 2 }) }
    for (const granularity of ['tensor', 'channel'] as const)
      for (const where of [
        context(),
        { ...context(), data, training: { epochs: 2, batchSize: 16, learningRate: 0.05 } },
      ]) {
        const result = await share(
          model,
          { bits: granularity === 'tensor' ? 3 : 1, granularity, include: ['fc1'] },
          where,
        )
        const after = weightsOf(result, 'fc1')
        const indices = result.graph.initializers.get('fc1.weight.indices')!.data as Uint8Array
        for (const [i, value] of pruned.data.entries()) {
          expect(after[i] === 0).toBe(value === 0)
          expect(indices[i] === 0).toBe(value === 0)
        }
        expect(verify(result)).toEqual([])
        if (where.data)
          expect(result.graph.initializers.get('fc1.bias')).not.toBe(model.graph.initializers.get('fc1.bias'))
      }
  })

  it('keeps a layer zero that is nothing else, before and after training', async () => {
    const model = withWeight(mlp.model, 'fc1.weight', float32(new Float32Array(128), [16, 8]))
    const data = { size: 60, classes: 4, inputShape: [8] }
    const trained = await share(
      model,
      { bits: 3 },
      {
        ...context(),
        data: { train: patternData({ ...data, seed: 1 }), validation: patternData({ ...data, seed: 2 }) },
      },
    )
    expect(weightsOf(trained, 'fc1').every((value) => value === 0)).toBe(true)
    expect(weightsOf(trained, 'fc2')).not.toEqual(weightsOf(await share(model, { bits: 3 }), 'fc2'))
  })

  it('moves shared values by the sum of the gradients of their weights', async () => {
    const options = { size: 16, classes: 4, inputShape: [8] }
    const data = { train: patternData({ ...options, seed: 1 }), validation: patternData({ ...options, seed: 2 }) }
    // One step of plain gradient descent on the shared values, and on the weights that they stand for.
    const training = { epochs: 1, batchSize: 16, learningRate: 0.5, momentum: 0 }
    const plain = await share(mlp.model, { bits: 2, include: ['fc2'], retrain: false })
    const tuned = await share(mlp.model, { bits: 2, include: ['fc2'] }, { ...context(), data, training })
    const start = weightsOf(plain, 'fc2')
    const { train } = await import('../../../src/training/train.ts')
    const { trainingSettings } = await import('../../../src/training/settings.ts')
    const dense = withWeight(mlp.model, 'fc2.weight', float32(start, [4, 16]))
    const settings = trainingSettings.parse(training)
    const { model: free } = await train(dense, { data: data.train, settings, engine: onnxruntime, seed: 1 })
    const moved = toFloat32(free.graph.initializers.get('fc2.weight')!)
    const after = weightsOf(tuned, 'fc2')
    for (const value of new Set(start)) {
      const members = [...start.keys()].filter((i) => start[i] === value)
      const sum = members.reduce((total, i) => total + moved[i] - start[i], 0)
      for (const i of members) expect(after[i] - start[i]).toBeCloseTo(sum, 4)
    }
  })

  it('represents layers of few values exactly and skips those that are too small', async () => {
    const flat = withWeight(mlp.model, 'fc1.weight', float32(new Float32Array(128).fill(0.25), [16, 8]))
    const skipped: string[] = []
    const result = await share(flat, { bits: 5 }, context(skipped))
    expect(weightsOf(result, 'fc1').every((value) => value === 0.25)).toBe(true)
    expect(result.graph.initializers.get('fc1.weight.codebook')!.shape).toEqual([1])
    const empty = await share(withWeight(mlp.model, 'fc1.weight', float32(new Float32Array(128), [16, 8])), { bits: 5 })
    expect(weightsOf(empty, 'fc1').every((value) => value === 0)).toBe(true)
    await share(mlp.model, { bits: 8 }, context(skipped))
    expect(skipped.filter((reason) => reason.includes('too small to share'))).toHaveLength(2)
  })

  it('works in half precision, with the codebook in half precision too', async () => {
    const weight = mlp.model.graph.initializers.get('fc1.weight')!
    const half = fromFloat32('float16', weight.shape, toFloat32(weight))
    const result = await share(withWeight(mlp.model, 'fc1.weight', half), { bits: 3, include: ['fc1'] })
    expect(result.graph.initializers.get('fc1.weight.codebook')!.dtype).toBe('float16')
    const values = new Set(weightsOf(result, 'fc1'))
    expect(values.size).toBeLessThanOrEqual(8)
  })

  it('uses 16-bit indices beyond 256 entries', async () => {
    const values = Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i) + i / 1000)
    const model = withWeight(mlp.model, 'fc1.weight', createTensor('float32', [512, 8], values))
    const bias = float32(new Float32Array(512))
    const result = await share(withWeight(model, 'fc1.bias', bias), { bits: 9, include: ['fc1'] })
    expect(result.graph.initializers.get('fc1.weight.indices')!.dtype).toBe('uint16')
    const after = weightsOf(result, 'fc1')
    expect(Math.max(...after.map((value, i) => Math.abs(value - values[i])))).toBeLessThan(0.02)
  })

  it('keeps a tied weight tied, and leaves what is shared already alone', async () => {
    const once = await share(tied.model, { bits: 2 })
    expect(once.graph.nodes.filter(({ op }) => op === 'Gather')).toHaveLength(2)
    const skipped: string[] = []
    expect(await share(once, { bits: 2 }, context(skipped))).toBe(once)
    expect(skipped.length).toBeGreaterThanOrEqual(2)
  })

  it('comes closer with a codebook for each channel, whatever the axis of the channels', async () => {
    const errorOf = (result: Model, layer: string, weight: string) => {
      const before = toFloat32(cnn.model.graph.initializers.get(weight)!)
      return weightsOf(result, layer).reduce((sum, value, i) => sum + (value - before[i]) ** 2, 0)
    }
    for (const [layer, weight] of [
      ['conv2', 'conv2.weight'],
      ['conv1', 'conv1.weight'],
    ] as const) {
      const whole = await share(cnn.model, { bits: 1, include: [layer] })
      const each = await share(cnn.model, { bits: 1, granularity: 'channel', include: [layer] })
      expect(errorOf(each, layer, weight)).toBeLessThanOrEqual(errorOf(whole, layer, weight) + 1e-9)
    }
    const wide = withWeight(
      mlp.model,
      'fc1.weight',
      float32(
        Float32Array.from({ length: 128 }, (_, i) => i % 8),
        [16, 8],
      ),
    )
    const result = await share(wide, { bits: 3, granularity: 'channel', include: ['fc1'] })
    expect(weightsOf(result, 'fc1')).toEqual(toFloat32(wide.graph.initializers.get('fc1.weight')!))
  })

  it('takes no more bits than the error needs', async () => {
    const before = toFloat32(mlp.model.graph.initializers.get('fc1.weight')!)
    const size = Math.hypot(...before)
    let last = 0
    for (const maxError of [0.5, 0.2, 0.05]) {
      const result = await share(mlp.model, { bits: 6, maxError, include: ['fc1'] })
      expect(Math.hypot(...weightsOf(result, 'fc1').map((value, i) => value - before[i]))).toBeLessThanOrEqual(
        maxError * size,
      )
      const entries = result.graph.initializers.get('fc1.weight.codebook')!.shape[0]
      expect(entries).toBeGreaterThan(last)
      last = entries
    }
    expect(last).toBeLessThanOrEqual(32)
  })

  it('can take fewer bits where the bytes are', async () => {
    const values = Float32Array.from({ length: 100_000 }, (_, i) => Math.sin(i))
    const large = withWeight(
      withWeight(mlp.model, 'fc1.weight', createTensor('float32', [12_500, 8], values)),
      'fc1.bias',
      float32(new Float32Array(12_500)),
    )
    const result = await share(large, { bits: 4, layers: { ':large': { bits: 3 } }, retrain: false })
    expect(result.graph.initializers.get('fc1.weight.codebook')!.shape).toEqual([8])
    expect(result.graph.initializers.get('fc2.weight.codebook')!.shape[0]).toBeGreaterThan(8)
  })

  it('gives the same twice, and needs no more values than weights differ', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.float({ noNaN: true, min: -9, max: 9 }), { minLength: 128, maxLength: 128 }),
        async (values) => {
          const model = withWeight(mlp.model, 'fc1.weight', float32(values, [16, 8]))
          for (const initialization of ['random', 'density', 'linear'] as const) {
            const options = { bits: 2, initialization, include: ['fc1'] }
            const first = weightsOf(await share(model, options), 'fc1')
            expect(weightsOf(await share(model, options), 'fc1')).toEqual(first)
            expect(new Set(first).size).toBeLessThanOrEqual(4)
          }
        },
      ),
      { numRuns: 15 },
    )
  })
})
