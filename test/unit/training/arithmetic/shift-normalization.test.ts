import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { onnxruntime as engine } from '../../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../../src/engines/reference.ts'
import { inlineCustomFunctions } from '../../../../src/autodiff/lower.ts'
import { ModelError, UsageError } from '../../../../src/errors.ts'
import { createDraft, float } from '../../../../src/ir/draft.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { nearestPowerOfTwo } from '../../../../src/tensor/powers-of-two.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { float32, type Tensor } from '../../../../src/tensor/tensor.ts'
import { checkShiftNormalization, withPowersOfTwo } from '../../../../src/training/arithmetic/shift-normalization.ts'
import { evaluate } from '../../../../src/training/evaluate.ts'
import { trainingForward } from '../../../../src/training/forward.ts'
import { trainingSettings } from '../../../../src/training/settings.ts'
import { train } from '../../../../src/training/train.ts'
import { buildNetwork } from '../../../../src/zoo/layers.ts'
import { patternData } from '../../../support/small-data.ts'

const numbers = (tensor: Tensor) => [...(tensor.data as Float32Array)]
const isPower = (value: number) => Number.isInteger(Math.log2(value))

/** One batch normalization of `[N, 3, 2, 2]` or `[N, 3]`. */
function normalization(variance: readonly number[], spatial: readonly number[] = [2, 2], epsilon = 1e-3): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', [4, 3, ...spatial])
  const constants = [
    draft.constant('scale', float32([1.4, -0.3, 6])),
    draft.constant('shift', float32([0.1, -2, 3])),
    draft.constant('mean', float32([0.5, -1, 2])),
    draft.constant('variance', float32(variance)),
  ]
  draft.output(draft.add('BatchNormalization', [x, ...constants], { epsilon: float(epsilon) }), 'float32')
  return draft.finish()
}

function example(size: number): Float32Array {
  const random = createRandom(9)
  return Float32Array.from({ length: size }, () => 3 * random.normal() + 1)
}

/** Algorithm 3 of the paper, in loops: y and both statistics. */
function byHand(x: Float32Array, plane: number, statistics?: { mean: number[]; variance: number[] }) {
  const [scale, shift] = [
    [1.4, -0.3, 6],
    [0.1, -2, 3],
  ]
  const of = (c: number) => [...x.keys()].filter((i) => Math.floor(i / plane) % 3 === c)
  const y = new Float64Array(x.length)
  const found = { mean: [] as number[], variance: [] as number[] }
  for (const c of [0, 1, 2]) {
    const places = of(c)
    const mean = statistics?.mean[c] ?? places.reduce((sum, i) => sum + x[i], 0) / places.length
    const centred = places.map((i) => x[i] - mean)
    const spread = centred.reduce((sum, value) => sum + value * nearestPowerOfTwo(value), 0) / places.length
    const variance = statistics?.variance[c] ?? spread
    const inverse = Math.min(nearestPowerOfTwo(1 / Math.sqrt(variance + 1e-3)), 16)
    places.forEach((i, k) => (y[i] = centred[k] * inverse * nearestPowerOfTwo(scale[c]) + shift[c]))
    found.mean.push(mean)
    found.variance.push(variance)
  }
  return { y, ...found }
}

describe('shift-based normalization', () => {
  it.each([[[2, 2]], [[]]])(
    'in training is algorithm 3, statistics included, over spatial axes %o',
    async (spatial) => {
      const { draft, statistics } = trainingForward(normalization([1, 2, 3], spatial), { shiftNormalization: true })
      for (const { next } of statistics) draft.output(next)
      const plane = spatial.length === 0 ? 1 : 4
      const x = example(12 * plane)
      const session = await referenceEngine.createSession(inlineCustomFunctions(draft.finish()))
      const results = await session.run({ x: float32(x, [4, 3, ...spatial]) })
      const expected = byHand(x, plane)
      const [y, mean, variance] = draft.outputs.map(({ name }) => numbers(results[name]))
      y.forEach((value, i) => expect(value).toBeCloseTo(expected.y[i], 4))
      mean.forEach((value, c) => expect(value).toBeCloseTo(0.9 * [0.5, -1, 2][c] + 0.1 * expected.mean[c], 5))
      variance.forEach((value, c) => expect(value).toBeCloseTo(0.9 * [1, 2, 3][c] + 0.1 * expected.variance[c], 4))
    },
  )

  it('leaves as a standard node that computes the same, in training with frozen statistics and in onnxruntime', async () => {
    const variance = [0.7, 1e-9, 300]
    const model = normalization(variance)
    const x = example(48)
    const expected = byHand(x, 4, { mean: [0.5, -1, 2], variance }).y
    const frozen = trainingForward(model, { shiftNormalization: true, frozenStatistics: true }).draft
    const initializers = new Map([...model.graph.initializers, ...withPowersOfTwo(model, new Map())])
    const exported: Model = { ...model, graph: { ...model.graph, initializers } }
    expect(exported.graph.nodes).toEqual(model.graph.nodes)
    const feeds = { x: float32(x, [4, 3, 2, 2]) }
    for (const [made, on] of [
      [inlineCustomFunctions(frozen.finish()), referenceEngine],
      [exported, engine],
    ] as const) {
      const session = await on.createSession(made)
      const [y] = Object.values(await session.run(feeds)).map(numbers)
      y.forEach((value, i) => expect(Math.abs(value - expected[i]) / Math.max(1, Math.abs(value))).toBeLessThan(1e-6))
    }
  })

  it('writes variances whose inverse root is exactly a power of two, without a negative one, and twice the same', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        fc.constantFrom(1e-5, 1e-3, 0.1, 2 ** -10, 1e-12),
        (variance, epsilon) => {
          const model = normalization([variance, variance * 1e-6, 0], [2, 2], epsilon)
          const once = withPowersOfTwo(model, new Map())
          for (const value of numbers(once.get('variance')!)) {
            expect(value).toBeGreaterThanOrEqual(0)
            const sum = Math.fround(value + Math.fround(epsilon))
            expect(isPower(1 / Math.sqrt(sum))).toBe(true)
          }
          expect(numbers(once.get('scale')!)).toEqual([1, -0.25, 8])
          expect(withPowersOfTwo(model, once)).toEqual(once)
        },
      ),
    )
  })

  it('is refused without batch normalization, and with values that are not finite', async () => {
    const linear = buildNetwork('linear', 1, [4], 2, (layers, x) => layers.linear(x, 'fc', 4, 2))
    expect(() => checkShiftNormalization(linear)).toThrow(UsageError)
    expect(() => checkShiftNormalization(normalization([1, Number.NaN, 1]))).toThrow(ModelError)
    expect(() => checkShiftNormalization(normalization([1, Number.NaN, 1]))).toThrow(/'variance'/)
    const settings = trainingSettings.parse({ shiftNormalization: true })
    const data = patternData({ size: 8, seed: 1, classes: 2, inputShape: [4] })
    await expect(train(linear, { data, settings, engine, seed: 1 })).rejects.toMatchObject({ code: 'no-normalization' })
  })
})

describe('training with shift-based normalization', () => {
  const shape = [1, 8, 8]
  const data = patternData({ size: 300, seed: 1, classes: 4, inputShape: shape })
  const validation = patternData({ size: 100, seed: 2, classes: 4, inputShape: shape })
  const model = buildNetwork('small', 4, shape, 4, (layers, input) => {
    const map = layers.relu(layers.batchNorm(layers.convolution(input, 'conv', 1, 6, 3, { padding: 1 }), 'norm', 6))
    const hidden = layers.linear(layers.flatten(layers.maxPool(map, 2)), 'hidden', 96, 12)
    return layers.linear(layers.relu(layers.batchNorm(hidden, 'norm2', 12)), 'fc', 12, 4)
  })
  const run = (settings: object, from = model) =>
    train(from, {
      data,
      validation,
      engine,
      seed: 3,
      settings: trainingSettings.parse({ epochs: 5, batchSize: 20, learningRate: 0.02, ...settings }),
    })

  it('learns as with the usual one, and what comes out is what validation saw', async () => {
    const plain = await run({})
    const shifted = await run({ shiftNormalization: true })
    const { loss, accuracy } = await evaluate(shifted.model, validation, engine)
    console.log(`validation: ${plain.history.at(-1)!.validation!.accuracy} as usual, ${accuracy} by shifts`)
    expect(accuracy).toBeGreaterThan(0.8)
    expect(accuracy).toBeGreaterThan(plain.history.at(-1)!.validation!.accuracy - 0.06)
    expect(shifted.history.at(-1)!.validation!.loss).toBeCloseTo(loss, 6)
    expect(shifted.model.graph.nodes).toEqual(model.graph.nodes)
    for (const name of ['norm', 'norm2']) {
      const of = (part: string) => numbers(shifted.model.graph.initializers.get(`${name}.${part}`)!)
      expect(of('weight').every((value) => isPower(Math.abs(value)))).toBe(true)
      expect(of('running_var').every((value) => isPower(1 / Math.sqrt(Math.fround(value + Math.fround(1e-5)))))).toBe(
        true,
      )
    }
    const further = await run({ shiftNormalization: true, epochs: 1, learningRate: 1e-7 }, shifted.model)
    expect(further.history[0].validation!.accuracy).toBeGreaterThan(accuracy - 0.1)
  })

  it('goes together with flexpoint', async () => {
    const { history } = await run({ shiftNormalization: true, flexpoint: 16 })
    expect(history.at(-1)!.validation!.accuracy).toBeGreaterThan(0.8)
  })
})
