import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { constantValues } from '../../../../../../src/ir/constant-values.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import { layers } from '../../../../../../src/ir/rewrite.ts'
import type { Context, ProofCheck } from '../../../../../../src/methods/method.ts'
import { incrementalNetworkQuantization } from '../../../../../../src/methods/quantization/weights/incremental-network-quantization.ts'
import { withInitializers } from '../../../../../../src/methods/weights.ts'
import { toFloat32 } from '../../../../../../src/tensor/half.ts'
import { float32 } from '../../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../../src/training/evaluate.ts'
import { trainingSettings } from '../../../../../../src/training/settings.ts'
import { train } from '../../../../../../src/training/train.ts'
import { buildNetwork } from '../../../../../../src/zoo/layers.ts'
import { patternData } from '../../../../../support/small-data.ts'

const inputShape = [1, 6, 6]
const facts = { inputShape, classes: 4 }
const data = patternData({ size: 200, seed: 1, noise: 0.7, ...facts })

function network(): Model {
  return buildNetwork('two', 1, inputShape, 4, (build, x) => {
    const hidden = build.relu(build.linear(build.flatten(x), 'fc1', 36, 24))
    return build.linear(hidden, 'fc2', 24, 4)
  })
}

/** Applies the method; `seen` has the values that each training held, by weight, and `labels` what the trainings are called. */
async function apply(model: Model, options: object, own: Partial<Context> = {}) {
  const held: { mask: Float32Array; values: Float32Array }[] = []
  const labels: string[] = []
  const checks: ProofCheck[] = []
  const engine: Context['engine'] = {
    ...onnxruntime,
    async createSession(graph, given) {
      const find = (name: string) => [...graph.graph.initializers].find(([key]) => key.startsWith(name))?.[1]
      const [mask, values] = [find('fc1.weight.mask'), find('fc1.weight.held')]
      if (mask && values) held.push({ mask: toFloat32(mask), values: toFloat32(values) })
      return onnxruntime.createSession(graph, given)
    },
  }
  const context: Context = {
    seed: 1,
    engine,
    skip: () => {},
    proved: (check) => checks.push(check),
    data: { train: data, validation: data },
    training: { epochs: 1, batchSize: 20, learningRate: 0.05, weightDecay: 0.01 },
    progress: ({ task }) => {
      const label = /^portion \d+\/\d+/.exec(task)?.[0]
      if (label && !labels.includes(label)) labels.push(label)
    },
    ...own,
  }
  const parsed = incrementalNetworkQuantization.options.parse(options)
  const result = await incrementalNetworkQuantization.apply(model, parsed, context)
  return { result, held, labels, checks }
}

function weightsOf(model: Model, name: string): Float32Array {
  const layer = layers(model).find((one) => one.name.startsWith(name))!
  return toFloat32(constantValues(model)(layer.node.inputs[layer.input])!)
}

const isPower = (value: number) => value === 0 || Number.isInteger(Math.log2(Math.abs(value)))

describe('incremental network quantization, portion by portion', () => {
  it.each(['magnitude', 'random'])(
    'never changes what was quantized, and ends in powers of two: %s',
    async (partition) => {
      const { result, held, labels, checks } = await apply(network(), { bits: 4, partition })
      expect(checks.map(({ passed }) => passed)).toEqual([true, true])
      expect(checks[1].detail).toMatch(/differ by (0\.0e\+0|\d\.\de-[789])/)
      expect(labels).toEqual([1, 2, 3, 4, 5, 6].map((step) => `portion ${step}/6`))
      const final = weightsOf(result, 'fc1')
      expect(final.every(isPower)).toBe(true)
      expect(weightsOf(result, 'fc2').every(isPower)).toBe(true)
      const shares = new Set<number>()
      for (const { mask, values } of held) {
        shares.add(mask.filter((free) => free === 0).length / mask.length)
        for (const [i, free] of mask.entries())
          if (free === 0) expect(Object.is(values[i] + 0, final[i] + 0)).toBe(true)
      }
      // With the last portion the weight is a constant: there is no mask any more.
      const wanted = [0.3, 0.5, 0.8, 0.9, 0.95].map((share) => Math.round(share * 864) / 864)
      expect([...shares].sort((a, b) => a - b)).toEqual(wanted)
    },
  )

  it('quantizes the largest first, and with exponents of the weights before training', async () => {
    const model = network()
    const before = toFloat32(model.graph.initializers.get('fc1.weight')!)
    const { held } = await apply(model, { bits: 3, portions: [0.25, 1], finish: false })
    const [{ mask, values }] = held
    const order = [...before.keys()].sort((a, b) => Math.abs(before[b]) - Math.abs(before[a]))
    const first = new Set(order.slice(0, 216))
    for (const i of before.keys()) expect(mask[i]).toBe(first.has(i) ? 0 : 1)
    const top = Math.floor(Math.log2((4 * Math.abs(before[order[0]])) / 3))
    for (const i of first) expect([2 ** top, 2 ** (top - 1)]).toContain(Math.abs(values[i]))
  })

  it('trains all that is free, and gains by it', async () => {
    const { model } = await train(network(), {
      data,
      settings: trainingSettings.parse({ epochs: 15, batchSize: 20, learningRate: 0.05 }),
      engine: onnxruntime,
      seed: 1,
    })
    const lossOf = async (quantized: Model) => (await evaluate(quantized, data, onnxruntime)).loss
    const options = { bits: 2, exponents: 'least-squares', retrain: { epochs: 2 } }
    const once = await apply(model, { ...options, retrain: false })
    const trained = await apply(model, options)
    expect(await lossOf(trained.result)).toBeLessThan(0.8 * (await lossOf(once.result)))
    const biases = (of: Model) => toFloat32(of.graph.initializers.get('fc1.bias')!)
    expect(biases(trained.result)).not.toEqual(biases(once.result))
  })

  it('keeps zeros of pruned weights, and quantizes a share of the others', async () => {
    const model = network()
    const pruned = toFloat32(model.graph.initializers.get('fc1.weight')!).map((value, i) => (i % 2 ? value : 0))
    const sparse = withInitializers(model, new Map([['fc1.weight', float32(pruned, [24, 36])]]))
    const { result, held } = await apply(sparse, { portions: [0.5, 1] })
    expect(held[0].mask.filter((free) => free === 1)).toHaveLength(216)
    for (const [i, value] of weightsOf(result, 'fc1').entries()) if (i % 2 === 0) expect(value + 0).toBe(0)
  })

  it('takes exponents for each channel', async () => {
    const { result } = await apply(network(), { bits: 2, granularity: 'channel', finish: false })
    const final = weightsOf(result, 'fc1')
    for (let row = 0; row < 24; row++)
      expect(new Set(final.subarray(row * 36, row * 36 + 36).map(Math.abs)).size).toBeLessThanOrEqual(2)
    expect(final.every(isPower)).toBe(true)
  })

  it('is done earlier with layers that have fewer portions', async () => {
    const { labels, result } = await apply(network(), {
      portions: [0.5, 0.7, 1],
      layers: { 'fc2*': { portions: [1] } },
    })
    expect(labels).toHaveLength(3)
    expect(weightsOf(result, 'fc2').every(isPower)).toBe(true)
  })

  it('names a layer that no gradient reaches', async () => {
    const draft = createDraft(network())
    const weight = draft.constant('aside.weight', float32(new Float32Array(8 * 36).fill(0.1), [8, 36]))
    const flat = draft.add('Flatten', [draft.inputs[0].name])
    draft.output(draft.add('Gemm', [flat, weight], { transB: 1 }, { name: 'aside' }), 'float32')
    await expect(apply(draft.finish(), {})).rejects.toMatchObject({ code: 'no-gradient-reaches', place: 'aside' })
  })

  it('quantizes all at once without data, and refuses portions that do not ascend to 1', async () => {
    const model = network()
    const { result, labels } = await apply(model, { bits: 4 }, { data: undefined })
    expect(labels).toEqual([])
    expect(weightsOf(result, 'fc1').every(isPower)).toBe(true)
    const parses = (options: object) => incrementalNetworkQuantization.options.safeParse(options).success
    for (const portions of [[0.5], [0.5, 0.5, 1], [0.8, 0.4, 1], [], [0, 1], [1.5]])
      expect(parses({ portions })).toBe(false)
    expect(parses({ portions: [0.1, 1] })).toBe(true)
    for (const bits of [1, 6, 2.5]) expect(parses({ bits })).toBe(false)
    expect(parses({ layers: { fc1: { finish: false } } })).toBe(false)
  })
})
