import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { differentiate } from '../../../../src/autodiff/gradient.ts'
import { lower } from '../../../../src/autodiff/lower.ts'
import { onnxruntime as engine } from '../../../../src/engines/onnxruntime.ts'
import { UnsupportedError, UsageError } from '../../../../src/errors.ts'
import { createDraft } from '../../../../src/ir/draft.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { rebatch } from '../../../../src/ir/shapes.ts'
import { float32, identical } from '../../../../src/tensor/tensor.ts'
import { quantizeLayerGradients } from '../../../../src/training/arithmetic/quantized-gradients.ts'
import { trainingSettings } from '../../../../src/training/settings.ts'
import { train } from '../../../../src/training/train.ts'
import { buildNetwork } from '../../../../src/zoo/layers.ts'
import { patternData } from '../../../support/small-data.ts'

/** A session that quantizes whole gradients: the loss is the sum of x · g, so that g is the gradient by x. */
async function createQuantizer(bits: number, shape: readonly number[]) {
  const draft = createDraft()
  const [x, g, noise] = ['x', 'g', 'noise'].map((name) => draft.input(name, 'float32', shape))
  const handed = draft.add('espalier.QuantizeGradient', [x, noise], { bits })
  const loss = draft.add('ReduceSum', [draft.add('Mul', [handed, g])], { keepdims: 0 })
  draft.output(loss, 'float32', [])
  draft.output(handed, 'float32', shape)
  const { model, gradients } = differentiate(draft.finish(), { loss, parameters: ['x'] })
  const session = await engine.createSession(lower(model), { threads: 1 })
  return async (gradient: readonly number[], by: readonly number[]) => {
    const feeds = { x: float32(gradient.map(Math.cos), shape), g: float32(gradient, shape), noise: float32(by, shape) }
    const results = await session.run(feeds)
    expect([...(results[handed].data as Float32Array)]).toEqual([...feeds.x.data])
    return [...(results[gradients.get('x')!].data as Float32Array)]
  }
}

function network(sizes: readonly number[]): Model {
  return buildNetwork('perceptron', 1, [1, 4, 4], sizes.at(-1)!, (layers, x) => {
    let value = layers.flatten(x)
    sizes.slice(1).forEach((size, i) => {
      if (i > 0) value = layers.relu(value)
      value = layers.linear(value, `fc${i + 1}`, sizes[i], size, 2)
    })
    return value
  })
}

/** What `quantizeLayerGradients` does to a model with batches of four examples. */
function place(model: Model, settings: Parameters<typeof quantizeLayerGradients>[3]) {
  const concrete = rebatch(model, 4)
  const draft = createDraft(concrete)
  const [images, logits] = [concrete.graph.inputs[0].name, concrete.graph.outputs[0].name]
  const random = quantizeLayerGradients(draft, concrete, { images, logits, batchSize: 4 }, settings)
  const producers = new Map(draft.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)))
  const behind = draft.nodes
    .filter(({ op }) => op === 'QuantizeGradient')
    .map(({ inputs }) => producers.get(inputs[0])!.inputs[1])
  return { random, behind }
}

describe('the gradient that is quantized', () => {
  it('has the values of the equation, with the range of each example', async () => {
    const quantize = await createQuantizer(2, [2, 4])
    // Of the first example, dy / 2 m + 1/2 in thirds is 3, 0, 2.25 and 1.5; of the second, which is zero, 1.5 each.
    const noise = [0.5, 0.5, 0.7, 0.8, 0, 0.9, 0.5, 0.2]
    const values = await quantize([4, -4, 2, 0, 0, 0, 0, 0], noise)
    const expected = [4, -4, 8 * (2 / 3 - 1 / 2), 8 * (2 / 3 - 1 / 2), 0, 0, 0, 0]
    values.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 5))
  })

  it('is of one sign and the largest magnitude with a single bit', async () => {
    const quantize = await createQuantizer(1, [1, 3])
    expect(await quantize([2, -1, 0.5], [0.1, 0.1, 0.1])).toEqual([2, -2, -2])
    expect(await quantize([2, -1, 0.5], [0.9, 0.9, 0.9])).toEqual([2, 2, 2])
  })

  it('has the gradient as its expectation: over evenly spread noise the mean is it', async () => {
    const levels = 32
    for (const bits of [1, 2, 4, 16]) {
      const quantize = await createQuantizer(bits, [2, 3])
      const number = fc.integer({ min: -1000, max: 1000 }).map((value) => value / 1000)
      await fc.assert(
        fc.asyncProperty(fc.array(number, { minLength: 6, maxLength: 6 }), async (g) => {
          const sum = g.map(() => 0)
          for (let level = 0; level < levels; level++) {
            const noise = g.map(() => (level + 0.5) / levels)
            ;(await quantize(g, noise)).forEach((value, i) => (sum[i] += value))
          }
          g.forEach((value, i) => {
            const row = i < 3 ? g.slice(0, 3) : g.slice(3)
            const step = (2 * Math.max(...row.map(Math.abs))) / (2 ** bits - 1)
            expect(Math.abs(sum[i] / levels - value)).toBeLessThanOrEqual((step * 0.51) / levels + 1e-5)
          })
        }),
        { numRuns: 10 },
      )
    }
  })
})

describe('quantized gradients in a step', () => {
  it('lie behind all layers but the first and the last, with noise for examples and for places', () => {
    const { random, behind } = place(network([16, 12, 10, 8, 3]), { gradientBits: 4 })
    expect(behind).toEqual(['fc2.weight', 'fc3.weight'])
    expect(random.map(({ shape, batched }) => [...shape, batched])).toEqual([
      [4, 1, true],
      [1, 10, false],
      [4, 1, true],
      [1, 8, false],
    ])
    expect(place(network([16, 12, 10, 8, 3]), {})).toEqual({ random: [], behind: [] })
  })

  it('say what does not fit', () => {
    expect(() => place(network([16, 12, 3]), { gradientBits: 4 })).toThrow(UsageError)
    expect(() => place(network([16, 12, 3]), { gradientBits: 4 })).toThrow(/there are 2/)
    expect(() => place(network([16, 12, 10, 3]), { gradientBits: 4, flexpoint: 16 })).toThrow(/flexpoint/)
    const draft = createDraft()
    let value = draft.add('Reshape', [
      draft.input('x', 'float32', ['N', 6]),
      draft.constant('shape', { dtype: 'int64', shape: [2], data: BigInt64Array.of(-1n, 24n) }),
    ])
    for (const name of ['a', 'b', 'c'])
      value = draft.add('MatMul', [value, draft.constant(name, float32(new Float32Array(576), [24, 24]))], {}, { name })
    draft.output(value)
    expect(() => place(draft.finish(), { gradientBits: 4 })).toThrow(UnsupportedError)
    for (const gradientBits of [0, 17, 2.5]) expect(trainingSettings.safeParse({ gradientBits }).success).toBe(false)
  })

  it('train, go on after a stop with the same bits, and do not depend on how many steps a run takes', async () => {
    const data = patternData({ size: 72, seed: 1, classes: 3, inputShape: [1, 4, 4], noise: 0.3 })
    const settings = trainingSettings.parse({ batchSize: 16, epochs: 6, gradientBits: 3, gradientTernary: true })
    const run = (options: object) => train(network([16, 12, 10, 3]), { data, settings, engine, seed: 5, ...options })
    const whole = await run({ stepsPerRun: 1 })
    expect(whole.history.at(-1)!.loss).toBeLessThan(0.7 * whole.history[0].loss)

    let bytes: Uint8Array | undefined
    const store = { read: async () => bytes, write: async (next: Uint8Array) => void (bytes = next) }
    const stop = new AbortController()
    let events = 0
    const progress = () => {
      if (++events === 8) stop.abort()
    }
    const options = { stepsPerRun: 1, checkpoint: { store } }
    await expect(run({ ...options, progress, signal: stop.signal })).rejects.toThrow(UsageError)
    const resumed = await run(options)
    const looped = await run({ stepsPerRun: 4 })
    for (const [name, tensor] of whole.model.graph.initializers)
      expect(identical(resumed.model.graph.initializers.get(name)!, tensor), name).toBe(true)
    // Where two ways to run differ in the last bit, a gradient may fall to the other side of its noise.
    expect(looped.history[0].loss).toBeCloseTo(whole.history[0].loss, 1)
  })
})
