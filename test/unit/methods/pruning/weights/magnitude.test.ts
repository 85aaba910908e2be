import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { UsageError } from '../../../../../src/errors.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import type { Context } from '../../../../../src/methods/method.ts'
import { magnitude } from '../../../../../src/methods/pruning/weights/magnitude.ts'
import { kMeans } from '../../../../../src/methods/sharing/k-means.ts'
import { evaluate } from '../../../../../src/training/evaluate.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { float32 } from '../../../../../src/tensor/tensor.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

const [mlp, cnn, , , tied, branching] = tinyModels()

function context(skipped: string[] = []): Context {
  return { seed: 1, engine: onnxruntime, skip: (layer, reason) => skipped.push(`${layer}: ${reason}`) }
}

const prune = (model: Model, options: object, where = context()) =>
  magnitude.apply(model, magnitude.options.parse(options), where)
const weightsOf = (model: Model, name: string) => [...toFloat32(model.graph.initializers.get(name)!)]
const zerosIn = (model: Model, name: string) => weightsOf(model, name).filter((value) => value === 0).length

function withWeight(model: Model, name: string, values: number[]): Model {
  const initializers = new Map(model.graph.initializers)
  initializers.set(name, float32(values, initializers.get(name)!.shape))
  return { ...model, graph: { ...model.graph, initializers } }
}

describe('magnitude', () => {
  it('removes exactly the asked share of each layer, the smallest first', async () => {
    const result = await prune(mlp.model, { sparsity: 0.75 })
    expect(zerosIn(result, 'fc1.weight')).toBe(96)
    expect(zerosIn(result, 'fc2.weight')).toBe(48)
    const before = weightsOf(mlp.model, 'fc1.weight')
    const after = weightsOf(result, 'fc1.weight')
    const removed = before.filter((_, i) => after[i] === 0).map(Math.abs)
    const kept = before.filter((_, i) => after[i] !== 0).map(Math.abs)
    expect(Math.max(...removed)).toBeLessThanOrEqual(Math.min(...kept))
    expect(after.every((value, i) => value === 0 || value === before[i])).toBe(true)
    expect(result.graph.initializers.get('fc1.bias')).toBe(mlp.model.graph.initializers.get('fc1.bias'))
  })

  it('removes what is below the quality factor times the standard deviation', async () => {
    const values = Array.from({ length: 64 }, (_, i) => (i % 2 ? 1 : -1) * (i < 32 ? 1 : 3))
    // Their deviation is √5 = 2.236: 0.5 σ spares all, 1 σ removes the ones.
    const model = withWeight(mlp.model, 'fc2.weight', values)
    const only = { include: ['fc2'] }
    expect(zerosIn(await prune(model, { quality: 0.4, ...only }), 'fc2.weight')).toBe(0)
    expect(zerosIn(await prune(model, { quality: 1, ...only }), 'fc2.weight')).toBe(32)
  })

  it('has one threshold for all layers with scope: global', async () => {
    const model = withWeight(
      mlp.model,
      'fc2.weight',
      Array.from({ length: 64 }, (_, i) => 10 + i),
    )
    const result = await prune(model, { sparsity: 0.5, scope: 'global' })
    expect(zerosIn(result, 'fc2.weight')).toBe(0)
    expect(zerosIn(result, 'fc1.weight')).toBe(96)
    await expect(prune(model, { sparsity: 0.5, scope: 'global', layers: { fc1: { sparsity: 0.1 } } })).rejects.toThrow(
      UsageError,
    )
  })

  it('takes options for single layers and kinds, the later ones winning', async () => {
    const layers = { ':dense': { quality: 0 }, 'conv*': { sparsity: 0.5 }, conv2: { sparsity: 0.25 } }
    const result = await prune(cnn.model, { sparsity: 0.9, layers })
    expect(zerosIn(result, 'fc.weight')).toBe(0)
    expect(zerosIn(result, 'conv1.weight')).toBe(18)
    expect(zerosIn(result, 'conv2.weight')).toBe(72)
  })

  it('reports what it leaves alone and refuses patterns that name nothing', async () => {
    const skipped: string[] = []
    await prune(cnn.model, { sparsity: 0.5, exclude: ['conv1'] }, context(skipped))
    expect(skipped).toEqual(['conv1: excluded by the options'])
    const inside: string[] = []
    await prune(branching.model, { sparsity: 0.5 }, context(inside))
    expect(inside).toEqual([
      expect.stringContaining('direct: it lies inside'),
      expect.stringContaining('inner: it lies inside'),
    ])
    await expect(prune(cnn.model, { include: ['cnov1'] })).rejects.toMatchObject({ hint: "Did you mean 'conv1'?" })
  })

  it('prunes a weight that two layers share once', async () => {
    expect(zerosIn(await prune(tied.model, { sparsity: 0.5, include: ['first', 'second'] }), 'tied.weight')).toBe(32)
  })

  it('never empties a layer', async () => {
    const result = await prune(mlp.model, { quality: 1000 })
    expect(zerosIn(result, 'fc1.weight')).toBe(127)
    const all = await prune(
      withWeight(
        mlp.model,
        'fc2.weight',
        Array.from({ length: 64 }, () => 0),
      ),
      { sparsity: 0.9 },
    )
    expect(zerosIn(all, 'fc2.weight')).toBe(64)
  })

  it('removes exactly the share for any weights, with ties and zeros', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(0, 0, 0.5, -0.5, 1, 2), { minLength: 64, maxLength: 64 }),
        fc.double({ min: 0, max: 0.98, noNaN: true }),
        async (values, sparsity) => {
          const result = await prune(withWeight(mlp.model, 'fc2.weight', values), { sparsity, include: ['fc2'] })
          const wanted = Math.round(sparsity * 64)
          const zeros = values.filter((value) => value === 0).length
          expect(zerosIn(result, 'fc2.weight')).toBe(Math.max(wanted, zeros))
        },
      ),
      { numRuns: 40 },
    )
  })

  it('retrains the others under the mask, round by round, and gains by it', async () => {
    const options = { size: 400, classes: 4, inputShape: [8], noise: 0.15 }
    const data = {
      train: patternData({ ...options, seed: 1 }),
      validation: patternData({ ...options, size: 200, seed: 2 }),
    }
    const training = { epochs: 6, batchSize: 20, learningRate: 0.02, optimizer: 'adam' } as const
    const blunt = await prune(mlp.model, { sparsity: 0.7, retrain: false })
    const result = await prune(mlp.model, { sparsity: 0.7, rounds: 3 }, { ...context(), data, training })
    expect(zerosIn(result, 'fc1.weight')).toBe(90)
    expect(result.graph.nodes).toEqual(mlp.model.graph.nodes)
    expect(weightsOf(result, 'fc1.bias')).not.toEqual(weightsOf(mlp.model, 'fc1.bias'))
    const before = await evaluate(blunt, data.validation, onnxruntime)
    const after = await evaluate(result, data.validation, onnxruntime)
    expect(after.accuracy).toBeGreaterThan(before.accuracy + 0.2)
  })

  it('keeps the zeros of layers that it leaves alone, and the values that they share', async () => {
    const options = { size: 60, classes: 4, inputShape: [8] }
    const data = { train: patternData({ ...options, seed: 1 }), validation: patternData({ ...options, seed: 2 }) }
    const where = { ...context(), data, training: { epochs: 1, batchSize: 20, learningRate: 0.05 } }
    const first = await prune(mlp.model, { sparsity: 0.5, include: ['fc2'], retrain: false })
    const second = await prune(first, { sparsity: 0.5, include: ['fc1'] }, where)
    expect(zerosIn(second, 'fc2.weight')).toBe(32)
    expect(weightsOf(second, 'fc2.weight')).not.toEqual(weightsOf(first, 'fc2.weight'))
    const shared = await kMeans.apply(
      first,
      kMeans.options.parse({ bits: 2, include: ['fc2'], retrain: false }),
      context(),
    )
    const third = await prune(shared, { sparsity: 0.5, include: ['fc1'] }, where)
    expect(weightsOf(third, 'fc2.weight.codebook')).toEqual(weightsOf(shared, 'fc2.weight.codebook'))
  })

  it('refuses to retrain without data when asked to', async () => {
    await expect(prune(mlp.model, { retrain: { epochs: 1 } })).rejects.toMatchObject({ code: 'retrain-without-data' })
  })
})
