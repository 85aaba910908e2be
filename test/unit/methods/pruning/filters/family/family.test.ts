import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import { verify } from '../../../../../../src/ir/verify.ts'
import type { Context, ProofCheck } from '../../../../../../src/methods/method.ts'
import { defineFilterPruner } from '../../../../../../src/methods/pruning/filters/family/family.ts'
import { filterL1 } from '../../../../../../src/methods/pruning/filters/filter-l1.ts'
import { magnitude } from '../../../../../../src/methods/pruning/weights/magnitude.ts'
import { kMeans } from '../../../../../../src/methods/sharing/k-means.ts'
import { toFloat32 } from '../../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../../src/tensor/random.ts'
import { elementCount, float32 } from '../../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../../src/training/evaluate.ts'
import { lenet5 } from '../../../../../../src/zoo/lenet-5.ts'
import { patternData } from '../../../../../support/small-data.ts'
import { tinyModels } from '../../../../../support/tiny-models.ts'

const [mlp, cnn, residual, grouped, tied, branching] = tinyModels()

interface Notes {
  readonly skipped: string[]
  readonly checks: ProofCheck[]
}

const notes = (): Notes => ({ skipped: [], checks: [] })

function context({ skipped, checks }: Notes = notes()): Context {
  return {
    seed: 1,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    proved: (check) => checks.push(check),
  }
}

const prune = (model: Model, options: object, where = context()) =>
  filterL1.apply(model, filterL1.options.parse(options), where)
const shapeOf = (model: Model, name: string) => model.graph.initializers.get(name)!.shape
const valuesOf = (model: Model, name: string) => [...toFloat32(model.graph.initializers.get(name)!)]

/** The model with the norms of the rows of a weight, whose first axis they follow, set to the given numbers. */
function withNorms(model: Model, name: string, norms: readonly number[]): Model {
  const initializers = new Map(model.graph.initializers)
  const { shape } = initializers.get(name)!
  const row = elementCount(shape.slice(1))
  const values = Float32Array.from({ length: norms.length * row }, (_, i) => norms[Math.floor(i / row)] / row)
  initializers.set(name, float32(values, shape))
  return { ...model, graph: { ...model.graph, initializers } }
}

/** Two dense layers without biases in front of a third. */
function chain(first: number[], second: number[], sizes: readonly [number, number, number]): Model {
  const [inputs, hidden, outputs] = sizes
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['batch', inputs])
  const dense = (from: string, name: string, values: number[], shape: number[]) =>
    draft.add('Gemm', [from, draft.constant(`${name}.weight`, float32(values, shape))], { transB: 1 }, { name })
  const a = draft.add('Relu', [dense(x, 'first', first, [hidden, inputs])])
  const b = draft.add('Relu', [dense(a, 'second', second, [outputs, hidden])])
  const random = createRandom(1)
  const last = Array.from({ length: 2 * outputs }, () => random.normal())
  draft.output(dense(b, 'last', last, [2, outputs]), 'float32', ['batch', 2])
  return draft.finish()
}

describe('a filter pruner', () => {
  it('cuts the filters of the lowest scores out of the layer and of those that read it', async () => {
    const model = withNorms(mlp.model, 'fc1.weight', [9, 1, 8, 2, 7, 3, 6, 4, 15, 10, 14, 11, 5, 13, 12, 16])
    const result = await prune(model, { ratio: 0.25 })
    const kept = [0, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].filter((filter) => filter !== 5 && filter !== 7)
    expect(shapeOf(result, 'fc1.weight')).toEqual([12, 8])
    expect(valuesOf(result, 'fc1.bias')).toEqual(kept.map((filter) => valuesOf(model, 'fc1.bias')[filter]))
    const reading = valuesOf(model, 'fc2.weight').filter((_, i) => kept.includes(i % 16))
    expect(valuesOf(result, 'fc2.weight')).toEqual(reading)
    expect(result.graph.nodes).toEqual(model.graph.nodes)
    expect(verify(result)).toEqual([])
  })

  it('keeps the number of filters that is asked for, layer by layer, down to LeNet-5 as a whole', async () => {
    const seen = notes()
    const layers = { conv1: { keep: 10 }, conv2: { keep: 24 }, fc1: { keep: 100 } }
    const result = await prune(lenet5({ seed: 1 }), { layers }, context(seen))
    expect(shapeOf(result, 'conv1.weight')).toEqual([10, 1, 5, 5])
    expect(shapeOf(result, 'conv2.weight')).toEqual([24, 10, 5, 5])
    expect(shapeOf(result, 'fc1.weight')).toEqual([100, 24 * 16])
    expect(shapeOf(result, 'fc2.weight')).toEqual([10, 100])
    expect(seen.skipped).toEqual(["fc2: its filters cannot be removed: 'logits' is an output of the model"])
    expect(seen.checks).toEqual([
      {
        check: 'filter-l1: masked = cut',
        passed: true,
        detail: expect.stringMatching(/^largest difference \d.*inputs$/),
      },
    ])
  })

  it('takes half where nothing is said, and lets the later override win and set the other amount aside', async () => {
    expect(shapeOf(await prune(cnn.model, {}), 'conv2.weight')).toEqual([4, 2, 3, 3])
    const layers = { ':conv': { ratio: 0.75 }, conv2: { keep: 7 } }
    const result = await prune(cnn.model, { keep: 1, layers })
    expect(shapeOf(result, 'conv2.weight')).toEqual([7, 1, 3, 3])
  })

  it('lets layers that are added up lose the same channels, by the sum or the maximum of their scores', async () => {
    const stem = withNorms(residual.model, 'stem.weight', [1, 2, 3, 4, 5, 6])
    const model = withNorms(stem, 'branch.weight', [9, 1, 1, 1, 6, 6])
    const bySum = await prune(model, { keep: 4 })
    expect(shapeOf(bySum, 'branch.weight')).toEqual([4, 4, 3, 3])
    const scales = (result: Model) => valuesOf(result, 'bn.scale').map((value) => Math.round(value * 10) / 10)
    // Sums: 10 3 4 5 11 12; maxima: 9 2 3 4 6 6.
    expect(scales(bySum)).toEqual([1, 1, 1, 1.2])
    expect(scales(await prune(model, { keep: 3, combine: 'max' }))).toEqual([1, 1, 1.2])
    const low = withNorms(stem, 'branch.weight', [0, 0, 0, 5.5, 0, 0])
    expect(valuesOf(await prune(low, { keep: 1, combine: 'sum' }), 'bn.variance')).toEqual([1])
    expect(scales(await prune(low, { keep: 1, combine: 'sum' }))).toEqual([1])
    expect(scales(await prune(low, { keep: 1, combine: 'max' }))).toEqual([1.2])
  })

  it('says of each layer that stays as it is why', async () => {
    const skippedOn = async (model: Model, options: object) => {
      const seen = notes()
      await prune(model, options, context(seen))
      return seen.skipped
    }
    expect(await skippedOn(residual.model, { exclude: ['stem'] })).toEqual([
      'stem: excluded by the options',
      "branch: its filters cannot be removed: they are tied to those of 'stem', which was not chosen",
      expect.stringMatching(/^fc: its filters cannot be removed: .* is an output of the model$/),
    ])
    expect(await skippedOn(tied.model, { include: ['first', 'second'] })).toContain(
      "first: its filters cannot be removed: 'x' is an input of the model",
    )
    expect(await skippedOn(branching.model, {})).toEqual([
      expect.stringContaining('direct: it lies inside'),
      expect.stringContaining('inner: it lies inside'),
      expect.stringContaining("outer: its filters cannot be removed: it is read inside If 'choice'"),
    ])
    expect(await skippedOn(cnn.model, { include: ['conv1'], ratio: 0.2 })).toContain(
      'conv1: a share of 0.2 of its 4 filters is less than one',
    )
    expect(await skippedOn(cnn.model, { include: ['conv1'], keep: 4 })).toContain(
      'conv1: it has 4 filters, not more than the 4 that it may keep',
    )
    const shared = await kMeans.apply(cnn.model, kMeans.options.parse({ bits: 2, include: ['conv2'] }), context())
    expect(await skippedOn(shared, {})).toContainEqual(expect.stringMatching(/^conv2: .*are not plain floats/))
  })

  it('refuses to remove a whole layer, and names it', async () => {
    const refused = { code: 'removes-whole-layer', hint: expect.stringContaining('keep: 1') }
    await expect(prune(cnn.model, { ratio: 1 })).rejects.toMatchObject({ ...refused, place: 'conv1' })
    await expect(prune(cnn.model, { layers: { conv2: { keep: 0 } } })).rejects.toMatchObject({
      ...refused,
      place: 'conv2',
    })
    await expect(prune(cnn.model, { scope: 'global', ratio: 1 })).rejects.toMatchObject(refused)
    expect(shapeOf(await prune(cnn.model, { ratio: 0.999999 }), 'conv1.weight')[0]).toBe(1)
  })

  it('refuses options that contradict each other', () => {
    for (const options of [
      { ratio: 0.5, keep: 3 },
      { keep: 3, scope: 'global' },
      { strategy: 'greedy', scope: 'global' },
      { rounds: 2, retrain: false },
      { layers: { conv1: { score: 1 } } },
    ])
      expect(filterL1.options.safeParse(options).success).toBe(false)
  })

  it('has one threshold for all layers with scope: global, whatever the size of their weights', async () => {
    const norms = [1, 1, 1, 1, 1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9]
    const uneven = withNorms(mlp.model, 'fc1.weight', norms)
    expect(shapeOf(await prune(uneven, { scope: 'global', ratio: 0.5 }), 'fc1.weight')).toEqual([8, 8])
    const first = Array.from({ length: 12 }, (_, i) => (i < 6 ? 1 : 8))
    const second = Array.from({ length: 16 }, (_, i) => (i < 4 ? 1000 : 2000))
    const model = chain(first, second, [3, 4, 4])
    // Relative to the typical filter of its layer: 0.2 0.2 1.4 1.4 and 0.6 1.1 1.1 1.1.
    const result = await prune(model, { scope: 'global', ratio: 0.4 })
    expect(shapeOf(result, 'second.weight')).toEqual([3, 2])
    const extreme = await prune(model, { scope: 'global', ratio: 0.99 })
    expect(shapeOf(extreme, 'second.weight')).toEqual([1, 1])
    await expect(prune(model, { scope: 'global', layers: { first: { ratio: 0.1 } } })).rejects.toMatchObject({
      code: 'global-overrides',
    })
  })

  it('does not count with greedy what filters read of channels that are gone', async () => {
    const first = [1, 1, 5, 5]
    const second = [10, 0, 0, 9]
    const model = chain(first, second, [2, 2, 2])
    const independent = await prune(model, { ratio: 0.5 })
    expect(valuesOf(independent, 'second.weight')).toEqual([0])
    const greedy = await prune(model, { ratio: 0.5, strategy: 'greedy' })
    expect(valuesOf(greedy, 'second.weight')).toEqual([9])
  })

  it('retrains the smaller network, round by round, and keeps the zeros of other layers', async () => {
    const task = { classes: 4, inputShape: [8], noise: 0.15 }
    const data = {
      train: patternData({ ...task, size: 400, seed: 1 }),
      validation: patternData({ ...task, size: 200, seed: 2 }),
    }
    const training = { epochs: 3, batchSize: 20, learningRate: 0.02, optimizer: 'adam' } as const
    const sparse = await magnitude.apply(
      mlp.model,
      magnitude.options.parse({ sparsity: 0.5, include: ['fc2'], retrain: false }),
      context(),
    )
    const seen = notes()
    const blunt = await prune(sparse, { keep: 6, retrain: false })
    const sizes: number[] = []
    const counting = defineFilterPruner({
      ...filterL1,
      score: ({ weight, shape }) => {
        sizes.push(shape[0])
        return Float32Array.from({ length: shape[0] }, (_, filter) => Math.abs(weight[filter * shape[1]]))
      },
      options: {},
    })
    const where = { ...context(seen), data, training }
    const result = await counting.apply(
      sparse,
      counting.options.parse({ keep: 6, rounds: 3, schedule: 'linear' }),
      where,
    )
    expect(sizes).toEqual([16, 13, 10])
    expect(shapeOf(result, 'fc1.weight')).toEqual([6, 8])
    expect(valuesOf(result, 'fc2.weight').filter((value) => value === 0).length).toBeGreaterThan(4)
    expect(seen.checks).toEqual([expect.objectContaining({ detail: expect.stringContaining('3 cuts') })])
    const before = await evaluate(blunt, data.validation, onnxruntime)
    const after = await evaluate(result, data.validation, onnxruntime)
    expect(after.accuracy).toBeGreaterThan(before.accuracy + 0.2)
  })

  it('turns every amount with its strength', async () => {
    const filters = async (options: object, strength: number) => {
      const parsed = filterL1.options.parse(options)
      return shapeOf(await filterL1.apply(mlp.model, filterL1.strength!(parsed, strength), context()), 'fc1.weight')[0]
    }
    expect(await filters({ ratio: 0.5 }, 0)).toBe(16)
    expect(await filters({ ratio: 0.5 }, 2)).toBe(4)
    expect(await filters({ layers: { fc1: { keep: 8 } } }, 0)).toBe(16)
    expect(await filters({ layers: { fc1: { keep: 8 } } }, 1)).toBe(8)
    expect(await filters({ layers: { fc1: { keep: 8 } } }, 2)).toBe(4)
    expect(await filters({ scope: 'global', ratio: 0.5 }, 2)).toBe(4)
  })

  it('stops at scores that are no numbers', async () => {
    const broken = defineFilterPruner({ ...filterL1, options: {}, score: ({ shape }) => Array.from(shape, () => NaN) })
    await expect(broken.apply(mlp.model, broken.options.parse({}), context())).rejects.toMatchObject({
      code: 'score-not-finite',
      place: 'fc1',
    })
  })

  it('removes the asked share of every group of any network, and computes what the masked one does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(mlp, cnn, residual, grouped),
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        fc.constantFrom('independent', 'greedy'),
        async ({ model }, ratio, strategy) => {
          const seen = notes()
          const result = await prune(model, { ratio, strategy }, context(seen))
          for (const [name, { shape }] of model.graph.initializers) {
            if (!/^(fc1|conv1|conv2|stem|branch)\.weight$/.test(name)) continue
            expect(shapeOf(result, name)[0]).toBe(shape[0] - Math.floor(shape[0] * ratio + 1e-6))
          }
          expect(seen.checks.every(({ passed, leftOut }) => passed && !leftOut)).toBe(true)
          expect(seen.checks.length).toBe(result === model ? 0 : 1)
        },
      ),
      { numRuns: 25 },
    )
  })
})
