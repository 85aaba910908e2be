import { describe, expect, it } from 'vitest'
import { toDependent } from '../../../../../src/codecs/dependent.ts'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { writeModel } from '../../../../../src/formats/onnx/write.ts'
import { readPack } from '../../../../../src/formats/pack/read.ts'
import { writePack } from '../../../../../src/formats/pack/write.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import { foldConstants } from '../../../../../src/ir/fold.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import { verify } from '../../../../../src/ir/verify.ts'
import type { Context } from '../../../../../src/methods/method.ts'
import { rateDistortion } from '../../../../../src/methods/quantization/rate-distortion/rate-distortion.ts'
import type { DType } from '../../../../../src/tensor/dtype.ts'
import { fromFloat32, toFloat32 } from '../../../../../src/tensor/half.ts'
import { elementCount } from '../../../../../src/tensor/tensor.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

/** x · w + b with given weights, [inputs, outputs]. */
function dense(shape: readonly [number, number], values: Float32Array, dtype: DType = 'float32'): Model {
  const draft = createDraft()
  const x = draft.input('x', dtype, ['n', shape[0]])
  const bias = fromFloat32(
    dtype,
    [shape[1]],
    Float32Array.from({ length: shape[1] }, (_, i) => 0.3 * i - 1),
  )
  const inputs = [x, draft.constant('w', fromFloat32(dtype, shape, values)), draft.constant('b', bias)]
  draft.output(draft.add('Gemm', inputs, {}, { name: 'fc' }), dtype)
  return draft.finish()
}

/** x · wᵀ, with given weights, [outputs, inputs]. */
function transposed(shape: readonly [number, number], values: Float32Array): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['n', shape[1]])
  const w = draft.constant('w', fromFloat32('float32', shape, values))
  draft.output(draft.add('Gemm', [x, w], { transB: 1 }, { name: 'fc' }), 'float32')
  return draft.finish()
}

function normal(count: number, seed = 3): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: count }, () => 0.2 * random.normal())
}

function contextOf(inputShape: readonly number[], skipped: string[] = []): Context {
  const data = patternData({ size: 64, seed: 1, classes: 4, inputShape })
  return {
    seed: 1,
    engine: onnxruntime,
    data: { train: data, validation: data },
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
  }
}

const apply = (model: Model, options: object, context: Context) =>
  rateDistortion.apply(model, rateDistortion.options.parse(options), context)

/** The weights that the codes stand for. */
function decoded(model: Model): { codes: Float32Array; values: Float32Array } {
  const codes = toFloat32(model.graph.initializers.get('w.codes')!)
  const scale = toFloat32(model.graph.initializers.get('w.scale')!)
  return { codes, values: codes.map((code, i) => code * scale[i % scale.length]) }
}

/** What comes out for the examples of the context. */
async function outputsOf(model: Model, context: Context): Promise<Float32Array> {
  const { inputs } = await context.data!.train.batch(Array.from({ length: 64 }, (_, i) => i))
  const session = await onnxruntime.createSession(model)
  try {
    return toFloat32(Object.values(await session.run({ x: inputs }))[0])
  } finally {
    await session.close()
  }
}

describe('rate-distortion', () => {
  it('takes fewer bytes and makes more noise the larger λ is', async () => {
    const weights = normal(64 * 32)
    const model = dense([64, 32], weights)
    let before = { bytes: Infinity, noise: -1 }
    for (const lambda of [0.001, 0.02, 0.3, 3]) {
      const result = await apply(model, { lambda, weighting: 'none' }, contextOf([64]))
      const { values } = decoded(result)
      const noise = values.reduce((sum, value, i) => sum + (value - weights[i]) ** 2, 0)
      const bytes = writePack(result).length
      expect(bytes).toBeLessThan(before.bytes)
      expect(noise).toBeGreaterThan(before.noise)
      before = { bytes, noise }
    }
  })

  it('rounds to the nearest codes of 8 bits at λ = 0', async () => {
    const weights = normal(64 * 32)
    const { codes } = decoded(await apply(dense([64, 32], weights), { lambda: 0, weighting: 'none' }, contextOf([64])))
    const largest = weights.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const step = Math.fround(largest / 127)
    expect([...codes]).toEqual(Array.from(weights, (value) => Math.round(value / step) || 0))
  })

  it('has one step an output channel where asked to', async () => {
    const weights = normal(64 * 32).map((value, i) => value * (1 + (i % 32)))
    const result = await apply(dense([64, 32], weights), { granularity: 'channel' }, contextOf([64]))
    const scale = toFloat32(result.graph.initializers.get('w.scale')!)
    expect(scale).toHaveLength(32)
    expect(scale[31]).toBeGreaterThan(8 * scale[0])
  })

  it('weighs by what it does to the answers', async () => {
    const result = await apply(dense([64, 32], normal(64 * 32)), { weighting: 'hessian' }, contextOf([64]))
    expect(verify(result)).toEqual([])
    expect(result.graph.initializers.has('w.codes')).toBe(true)
  })

  it('codes half-precision weights and their bias in half precision', async () => {
    const model = dense([64, 32], normal(64 * 32), 'float16')
    const result = await apply(model, {}, contextOf([64]))
    expect(verify(result)).toEqual([])
    for (const name of ['w.scale', 'b.scale']) expect(result.graph.initializers.get(name)?.dtype).toBe('float16')
    const plain = await apply(model, { biases: false }, contextOf([64]))
    expect(plain.graph.initializers.has('b')).toBe(true)
  })

  it.each([
    ['all zero', new Float32Array(64 * 8)],
    ['all the same', new Float32Array(64 * 8).fill(0.25)],
  ])('survives weights that are %s', async (_, weights) => {
    const result = await apply(dense([64, 8], weights), {}, contextOf([64]))
    expect(verify(result)).toEqual([])
    const { values } = decoded(result)
    for (const value of values) expect(Math.abs(value - weights[0])).toBeLessThanOrEqual(0.3 * Math.abs(weights[0]))
  })

  it('leaves alone what codes would not make smaller, and says so', async () => {
    const skipped: string[] = []
    const model = dense([1, 1], Float32Array.of(0.5))
    const result = await apply(model, { lambda: 1e-6 }, contextOf([1], skipped))
    expect(verify(result)).toEqual([])
    expect(skipped.join()).toMatch(/^fc: codes are no smaller/)
    expect(result).toBe(model)
    const coded = await apply(dense([64, 32], normal(64 * 32)), {}, contextOf([64]))
    skipped.length = 0
    expect(await apply(coded, {}, contextOf([64], skipped))).toBe(coded)
    expect(skipped).toEqual(['fc: its weights are not plain floats: they were shared or quantized before'])
  })

  it('makes up for errors: fewer bytes for as much movement of the outputs on the data', async () => {
    const context = contextOf([64])
    const model = dense([64, 32], normal(64 * 32))
    const wanted = await outputsOf(model, context)
    const measured = async (options: object) => {
      const result = await apply(model, options, context)
      const moved = (await outputsOf(result, context)).reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0)
      return { moved, bytes: writePack(result).length }
    }
    const fed = await measured({ lambda: 0.1 })
    const plain = await measured({ lambda: 0.2, compensate: false })
    expect(fed.bytes).toBeLessThan(plain.bytes)
    expect(fed.moved).toBeLessThan(plain.moved)
  })

  it.each(tinyModels())('keeps its promises with a trained grid on $name', async ({ model, inputShape, classes }) => {
    const context = contextOf(inputShape)
    const before = writeModel(model)
    const options = { grid: 'k-means', bits: 3, lambda: 0.3 }
    const result = await apply(model, options, context)
    expect(writeModel(model)).toEqual(before)
    expect(verify(result)).toEqual([])
    const bytes = writeModel(result)
    expect(writeModel(await apply(model, options, context))).toEqual(bytes)
    expect(writeModel(readPack(writePack(result)))).toEqual(bytes)
    for (const [name, tensor] of result.graph.initializers)
      if (name.endsWith('.codebook')) expect(elementCount(tensor.shape)).toBeLessThanOrEqual(8)
    const session = await onnxruntime.createSession(result)
    try {
      const { inputs } = await context.data!.train.batch([0, 1, 2])
      const outputs = toFloat32(Object.values(await session.run({ x: inputs }))[0])
      expect(outputs).toHaveLength(3 * classes)
      expect(outputs.every(Number.isFinite)).toBe(true)
    } finally {
      await session.close()
    }
  })

  it('makes less noise in fewer bytes with a trained grid where weights gather at odd values', async () => {
    const random = createRandom(8)
    const values = [-0.31, -0.1, 0, 0.13, 0.23]
    const weights = Float32Array.from({ length: 64 * 32 }, () => values[random.integer(5)] + 0.002 * random.normal())
    const model = dense([64, 32], weights)
    const measured = async (options: object) => {
      const result = await apply(model, { weighting: 'none', ...options }, contextOf([64]))
      const folded = foldConstants(result, { all: true })
      const values = toFloat32(folded.graph.initializers.get(layers(folded)[0].weight)!)
      return { bytes: writePack(result).length, noise: values.reduce((sum, v, i) => sum + (v - weights[i]) ** 2, 0) }
    }
    const uniform = await measured({ lambda: 0.001 })
    const trained = await measured({ lambda: 0.01, grid: 'k-means' })
    expect(trained.bytes).toBeLessThan(uniform.bytes)
    expect(trained.noise).toBeLessThan(uniform.noise)
  })

  it('makes less of a file with a trellis, of codes that its coder knows, for as much movement of the outputs', async () => {
    const model = transposed([96, 64], normal(96 * 64))
    const context = contextOf([64])
    const before = writeModel(model)
    const wanted = await outputsOf(model, context)
    const measured = async (options: object) => {
      const result = await apply(model, options, context)
      expect(verify(result)).toEqual([])
      expect(writeModel(readPack(writePack(result)))).toEqual(writeModel(result))
      const moved = (await outputsOf(result, context)).reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0)
      return { moved, bytes: writePack(result).length, codes: toFloat32(result.graph.initializers.get('w.codes')!) }
    }
    const plain = await measured({ lambda: 0.05 })
    const trellis = await measured({ lambda: 0.05, trellis: true })
    expect(writeModel(model)).toEqual(before)
    expect(toDependent(Int32Array.from(trellis.codes))).toBeDefined()
    expect(toDependent(Int32Array.from(plain.codes))).toBeUndefined()
    expect(trellis.moved).toBeLessThan(plain.moved)
    expect(trellis.bytes).toBeLessThan(1.02 * plain.bytes)
  })

  it('has no trellis for trained values, and none where rows are not stored one by one', async () => {
    const model = dense([64, 32], normal(64 * 32))
    await expect(apply(model, { grid: 'k-means', trellis: true }, contextOf([64]))).rejects.toMatchObject({
      code: 'rate-distortion-trellis',
    })
    const skipped: string[] = []
    const context = contextOf([64], skipped)
    const plain = await apply(model, {}, context)
    expect(skipped).toEqual([])
    expect(writeModel(await apply(model, { trellis: true }, context))).toEqual(writeModel(plain))
    expect(skipped).toEqual(['fc: its codes have no trellis: the rows of its weight are not stored one by one'])
  })

  it('has a trellis in the layers that its coder has time for, and says where it has none', async () => {
    const draft = createDraft()
    let value = draft.input('x', 'float32', ['n', 64])
    // The second is beyond what the coder takes, by itself.
    for (const [name, [outputs, inputs]] of Object.entries({ small: [32, 64], large: [2 ** 17 + 1, 32] })) {
      const weight = draft.constant(name, fromFloat32('float32', [outputs, inputs], normal(outputs * inputs)))
      value = draft.add('Gemm', [value, weight], { transB: 1 }, { name })
    }
    draft.output(value, 'float32')
    const skipped: string[] = []
    const options = { trellis: true, weighting: 'none', lambda: 0, passes: 1 }
    const result = await apply(draft.finish(), options, contextOf([64], skipped))
    expect(skipped).toEqual([expect.stringMatching(/^large: its codes have no trellis: .*'predictive'/)])
    const codes = (name: string) => Int32Array.from(toFloat32(result.graph.initializers.get(`${name}.codes`)!))
    expect(toDependent(codes('small'))).toBeDefined()
    expect(toDependent(codes('large'))).toBeUndefined()
  })

  it('says where statistics of the inputs were asked for and there are none', async () => {
    const skipped: string[] = []
    await apply(transposed([2, 2401], normal(2 * 2401)), { lambda: 0.3 }, contextOf([2401], skipped))
    expect(skipped).toEqual([expect.stringMatching(/^fc: all of its weights count alike: their rows are too long/)])
    skipped.length = 0
    await apply(transposed([2, 2401], normal(2 * 2401)), { weighting: 'none' }, contextOf([2401], skipped))
    expect(skipped).toEqual([])
  })

  it('has no codebook for each channel', async () => {
    const options = { grid: 'k-means', granularity: 'channel' }
    await expect(apply(dense([8, 8], normal(64)), options, contextOf([8]))).rejects.toMatchObject({
      code: 'rate-distortion-codebooks',
    })
  })
})
