import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { macsOf } from '../../../../../../src/ir/cost.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import type { Context } from '../../../../../../src/methods/method.ts'
import { filterL1 } from '../../../../../../src/methods/pruning/filters/filter-l1.ts'
import { toFloat32 } from '../../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../../src/tensor/random.ts'
import { float32 } from '../../../../../../src/tensor/tensor.ts'
import { lenet5 } from '../../../../../../src/zoo/lenet-5.ts'
import { patternData } from '../../../../../support/small-data.ts'
import { tinyModels } from '../../../../../support/tiny-models.ts'

const [mlp, cnn, residual, grouped] = tinyModels()

function context(skipped: string[] = [], further: Partial<Context> = {}): Context {
  return {
    seed: 1,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    ...further,
  }
}

const prune = (model: Model, options: object, where = context()) =>
  filterL1.apply(model, filterL1.options.parse(options), where)
const sizes = (model: Model, names: readonly string[]) =>
  names.map((name) => model.graph.initializers.get(`${name}.weight`)!.shape[0])
const total = (model: Model) => [...macsOf(model).values()].reduce((sum, macs) => sum + macs, 0)

describe('a share of the macs', () => {
  it('is reached with the smallest ratio that does, the same for all layers', async () => {
    const names = ['conv1', 'conv2']
    const ratios = [0, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8]
    const byRatio = await Promise.all(ratios.map((ratio) => prune(cnn.model, { ratio })))
    for (const macs of [0.01, 0.1, 0.25, 0.5, 0.7]) {
      const first = byRatio.find((model) => total(model) <= (1 - macs) * total(cnn.model))!
      expect(sizes(await prune(cnn.model, { macs }), names)).toEqual(sizes(first, names))
    }
    expect(await prune(cnn.model, { macs: 0 })).toBe(cnn.model)
  })

  it('is reached on residual, grouped and dense networks, and counts all layers of the model', async () => {
    for (const { model } of [residual, grouped, mlp])
      for (const scope of ['layer', 'global']) {
        const result = await prune(model, { macs: 0.25, scope })
        expect(total(result)).toBeLessThanOrEqual(0.75 * total(model))
        expect(total(result)).toBeGreaterThan(0.3 * total(model))
      }
    const some = await prune(cnn.model, { macs: 0.15, include: ['conv2'] })
    expect(sizes(some, ['conv1', 'conv2'])).toEqual([4, 4])
  })

  it('is reached with the fewest channels where one threshold decides', async () => {
    const names = ['conv1', 'conv2']
    const model = cnn.model
    for (const macs of [0.1, 0.4]) {
      const found = sizes(await prune(model, { macs, scope: 'global' }), names)
      const gone = 12 - found[0] - found[1]
      expect(sizes(await prune(model, { ratio: gone / 12, scope: 'global' }), names)).toEqual(found)
      const less = await prune(model, { ratio: (gone - 1) / 12, scope: 'global' })
      expect(total(less)).toBeGreaterThan((1 - macs) * total(model))
    }
  })

  it('grows over the rounds', async () => {
    const task = { classes: 4, inputShape: [1, 8, 8] }
    const data = {
      train: patternData({ ...task, size: 32, seed: 1 }),
      validation: patternData({ ...task, size: 8, seed: 2 }),
    }
    const seen: number[] = []
    const training = { epochs: 1, batchSize: 16, learningRate: 0.001 }
    for (const scope of ['layer', 'global']) {
      const where = context([], {
        data,
        training,
        progress: ({ task: name, done }) => done === 0 || seen.push(name.length),
      })
      const result = await prune(cnn.model, { macs: 0.5, rounds: 2, scope }, where)
      expect(total(result)).toBeLessThanOrEqual(0.5 * total(cnn.model))
    }
    expect(seen.length).toBeGreaterThan(0)
  })

  it('turns with the strength', async () => {
    const options = filterL1.options.parse({ macs: 0.3 })
    const strong = await filterL1.apply(cnn.model, filterL1.strength!(options, 2), context())
    expect(sizes(strong, ['conv1'])).toEqual(sizes(await prune(cnn.model, { macs: 1 - 0.7 ** 2 }), ['conv1']))
    expect(await filterL1.apply(cnn.model, filterL1.strength!(options, 0), context())).toBe(cnn.model)
  })

  it('is refused with the reason where no channel can go', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', 4])
    const weight = draft.constant('weight', float32(new Float32Array(8).fill(1), [4, 2]))
    draft.output(draft.add('MatMul', [x, weight], {}, { name: 'only', outputs: ['y'] }), 'float32', ['N', 2])
    const model = draft.finish()
    await expect(prune(model, { macs: 0.3 })).rejects.toMatchObject({
      code: 'macs-out-of-reach',
      place: 'only',
      message: expect.stringContaining("'y' is an output of the model"),
      hint: expect.stringContaining('magnitude'),
    })
    expect(await prune(model, { macs: 0 })).toBe(model)
  })

  it('that is out of reach is refused with what is in reach', async () => {
    const most = total(await prune(cnn.model, { ratio: 0.999 })) / total(cnn.model)
    const expected = {
      code: 'macs-out-of-reach',
      message: expect.stringContaining(`${Math.floor((1 - most) * 1000) / 10} %`),
      hint: expect.stringContaining('more layers'),
    }
    await expect(prune(cnn.model, { macs: 0.99 })).rejects.toMatchObject(expected)
    await expect(prune(cnn.model, { macs: 0.99, scope: 'global' })).rejects.toMatchObject(expected)
    expect(filterL1.options.safeParse({ macs: 0.5, ratio: 0.5 }).success).toBe(false)
    expect(filterL1.options.safeParse({ macs: 0.5, keep: 3 }).success).toBe(false)
  })
})

describe('a multiple', () => {
  it('rounds up what stays, and says where then nothing goes', async () => {
    const names = ['conv1', 'conv2', 'fc1']
    const model = lenet5({ seed: 1 })
    expect(sizes(await prune(model, { multiple: 8 }), names)).toEqual([16, 32, 256])
    for (const size of sizes(await prune(model, { multiple: 8, scope: 'global', ratio: 0.6 }), names))
      expect([8, 16, 20, 24, 32, 40, 48, 50].includes(size) || size % 8 === 0).toBe(true)
    const skipped: string[] = []
    const result = await prune(cnn.model, { multiple: 4, ratio: 0.25 }, context(skipped))
    expect(sizes(result, ['conv1', 'conv2'])).toEqual([4, 8])
    expect(skipped).toContainEqual(
      'conv1: 3 of its 4 filters would stay, and all of them when rounded up to a multiple of 4',
    )
  })

  it('takes layers one after the other where fewer of them reach the share of the macs', async () => {
    const draft = createDraft()
    const ones = (name: string, out: number, into: number) =>
      draft.constant(name, float32(new Float32Array(out * into).fill(1), [out, into, 1, 1]))
    let value = draft.input('x', 'float32', ['n', 1, 4, 4])
    for (const [name, into] of [['a', 1] as const, ['b', 16] as const, ['c', 16] as const])
      value = draft.add('Conv', [value, ones(`${name}.weight`, 16, into)], {}, { name })
    draft.output(draft.add('Conv', [value, ones('d.weight', 4, 16)], {}, { name: 'd' }), 'float32', ['n', 4, 4, 4])
    const model = draft.finish()
    // 256 + 4,096 + 4,096 + 1,024 macs. With 8 channels of 'c' 2,560 go (27 %), with 8 of 'b' as well 5,632 (59 %).
    const cases = [
      { macs: 0.2, expected: [16, 16, 8] },
      { macs: 0.5, expected: [16, 8, 8] },
      { macs: 0.6, expected: [8, 8, 8] },
    ]
    for (const { macs, expected } of cases)
      expect(sizes(await prune(model, { macs, multiple: 8 }), ['a', 'b', 'c'])).toEqual(expected)
  })
})

describe('refitting the layers that read what was cut', () => {
  /** Four hidden units behind a ReLU, of which the last two are others in small: they can be made up for. */
  function redundant(): Model {
    const random = createRandom(5)
    const normal = (count: number) => Array.from({ length: count }, () => random.normal())
    const [first, second] = [normal(6), normal(6)]
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 6])
    const all = [...first, ...second, ...first.map((w) => w / 4), ...second.map((w) => w / 8)]
    const weight = draft.constant('first.weight', float32(all, [4, 6]))
    const hidden = draft.add('Relu', [draft.add('Gemm', [x, weight], { transB: 1 }, { name: 'first' })])
    const last = draft.constant('last.weight', float32(normal(12), [3, 4]))
    draft.output(draft.add('Gemm', [hidden, last], { transB: 1 }, { name: 'last' }), 'float32', ['n', 3])
    return draft.finish()
  }

  const train = patternData({ size: 64, seed: 1, classes: 3, inputShape: [6] })
  const data = { train, validation: train }

  async function outputsOf(model: Model): Promise<Float32Array> {
    const session = await onnxruntime.createSession(model)
    const { inputs } = await train.batch([0, 1, 2, 3, 4, 5])
    const [output] = Object.values(await session.run({ x: inputs }))
    await session.close()
    return toFloat32(output)
  }

  it('makes up for channels that say nothing of their own', async () => {
    const model = redundant()
    const before = await outputsOf(model)
    const worst = async (options: object) => {
      const result = await prune(model, { ratio: 0.5, retrain: false, ...options }, context([], { data }))
      expect(result.graph.initializers.get('last.weight')!.shape).toEqual([3, 2])
      const after = await outputsOf(result)
      return Math.max(...after.map((value, i) => Math.abs(value - before[i])))
    }
    expect(await worst({})).toBeGreaterThan(0.1)
    expect(await worst({ refit: { damping: 1e-6 } })).toBeLessThan(1e-3)
  })

  it('goes through the places that a channel is flattened into', async () => {
    const random = createRandom(6)
    const normal = (count: number) => Array.from({ length: count }, () => random.normal())
    const [first, second] = [normal(9), normal(9)]
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 1, 5, 5])
    const kernel = draft.constant(
      'conv.weight',
      float32([...first, ...first.map((w) => w / 4), ...second], [3, 1, 3, 3]),
    )
    const map = draft.add('Relu', [draft.add('Conv', [x, kernel], {}, { name: 'conv' })])
    const flat = draft.add('Flatten', [map], { axis: 1 })
    const last = draft.constant('last.weight', float32(normal(54), [27, 2]))
    draft.output(draft.add('Gemm', [flat, last], {}, { name: 'last' }), 'float32')
    const images = patternData({ size: 80, seed: 2, classes: 3, inputShape: [1, 5, 5] })
    const where = context([], { data: { train: images, validation: images } })
    const result = await prune(draft.finish(), { keep: 2, retrain: false, refit: { damping: 1e-6 } }, where)
    const [old, now] = [draft.finish(), result].map((model) => toFloat32(model.graph.initializers.get('last.weight')!))
    expect(now).toHaveLength(18 * 2)
    // The first channel takes a quarter of what was read of the second, place by place; the third is as it was.
    for (let i = 0; i < 18; i++) expect(now[i]).toBeCloseTo(old[i] + old[18 + i] / 4, 2)
    for (let i = 18; i < 36; i++) expect(now[i]).toBeCloseTo(old[18 + i], 2)
  })

  it('needs data', async () => {
    await expect(prune(redundant(), { refit: {} })).rejects.toMatchObject({ code: 'no-calibration-data' })
  })
})
