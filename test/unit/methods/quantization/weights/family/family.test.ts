import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { writeModel } from '../../../../../../src/formats/onnx/write.ts'
import { readPack } from '../../../../../../src/formats/pack/read.ts'
import { writePack } from '../../../../../../src/formats/pack/write.ts'
import { constantValues } from '../../../../../../src/ir/constant-values.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import { layers } from '../../../../../../src/ir/rewrite.ts'
import { verify } from '../../../../../../src/ir/verify.ts'
import type { Context, Method, ProofCheck } from '../../../../../../src/methods/method.ts'
import { admmQuantization } from '../../../../../../src/methods/quantization/weights/admm-quantization.ts'
import { binaryWeightNetworks } from '../../../../../../src/methods/quantization/weights/binary-weight-networks.ts'
import { quantizedNeuralNetworks } from '../../../../../../src/methods/quantization/weights/quantized-neural-networks.ts'
import { rateDistortion } from '../../../../../../src/methods/quantization/rate-distortion/rate-distortion.ts'
import { shiftCnn } from '../../../../../../src/methods/quantization/weights/shift-cnn.ts'
import { trainedTernaryQuantization } from '../../../../../../src/methods/quantization/weights/trained-ternary-quantization.ts'
import { uniform } from '../../../../../../src/methods/quantization/weights/uniform.ts'
import { constantsOf, withInitializers } from '../../../../../../src/methods/weights.ts'
import type { DType } from '../../../../../../src/tensor/dtype.ts'
import { fromFloat32, toFloat32 } from '../../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../../src/tensor/random.ts'
import { elementCount, float32 } from '../../../../../../src/tensor/tensor.ts'

const [INPUTS, OUTPUTS] = [48, 32]

const operators = {
  Conv: { op: 'Conv', x: [4, INPUTS, 3, 3], w: [OUTPUTS, INPUTS, 2, 2], attributes: {} },
  ConvTranspose: { op: 'ConvTranspose', x: [4, INPUTS, 3, 3], w: [INPUTS, OUTPUTS, 2, 2], attributes: {} },
  Gemm: { op: 'Gemm', x: [4, INPUTS], w: [INPUTS, OUTPUTS], attributes: {} },
  'Gemm transB': { op: 'Gemm', x: [4, INPUTS], w: [OUTPUTS, INPUTS], attributes: { transB: 1 } },
  MatMul: { op: 'MatMul', x: [4, INPUTS], w: [INPUTS, OUTPUTS], attributes: {} },
} as const

function noise(count: number, seed: number): Float32Array {
  const random = createRandom(seed)
  return Float32Array.from({ length: count }, () => random.normal())
}

function oneLayer(kind: keyof typeof operators, dtype: DType = 'float32', own?: Float32Array): Model {
  const { op, x, w, attributes } = operators[kind]
  const draft = createDraft()
  const weight = draft.constant('w', fromFloat32(dtype, w, own ?? noise(elementCount(w), 1)))
  const inputs = [draft.input('x', dtype, x), weight]
  if (op !== 'MatMul') inputs.push(draft.constant('b', fromFloat32(dtype, [OUTPUTS], noise(OUTPUTS, 2))))
  draft.output(draft.add(op, inputs, attributes, { name: 'layer' }), dtype)
  return draft.finish()
}

function dense(rows: number, columns: number, values: Float32Array, dtype: DType = 'float32'): Model {
  const draft = createDraft()
  const inputs = [
    draft.input('x', dtype, ['batch', columns]),
    draft.constant('w', fromFloat32(dtype, [rows, columns], values)),
  ]
  draft.output(draft.add('Gemm', inputs, { transB: 1 }, { name: 'layer' }), dtype, ['batch', rows])
  return draft.finish()
}

async function apply(method: Method, model: Model, options: object = {}) {
  const skipped: string[] = []
  const checks: ProofCheck[] = []
  const context: Context = {
    seed: 1,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    proved: (check) => checks.push(check),
  }
  const result = await method.apply(model, method.options.parse(options), context)
  expect(verify(result)).toEqual([])
  return { result, skipped, checks }
}

/** The weight of the only layer, as the graph computes it. */
function weightOf(model: Model): Float32Array {
  const [{ node, input }] = layers(model)
  return toFloat32(constantValues(model)(node.inputs[input])!)
}

async function run(model: Model, shape: readonly number[], dtype: DType = 'float32'): Promise<Float32Array> {
  const session = await onnxruntime.createSession(model)
  try {
    return toFloat32(
      Object.values(await session.run({ x: fromFloat32(dtype, shape, noise(elementCount(shape), 3)) }))[0],
    )
  } finally {
    await session.close()
  }
}

function relativeError(actual: Float32Array, expected: Float32Array): number {
  const error = expected.reduce((sum, value, i) => sum + (actual[i] - value) ** 2, 0)
  return Math.sqrt(error / expected.reduce((sum, value) => sum + value * value, 0))
}

describe.each(Object.keys(operators) as (keyof typeof operators)[])('a quantized %s', (kind) => {
  const wide = kind === 'MatMul' || kind === 'Gemm'
  it.each([
    ['tensor', { granularity: 'tensor' }],
    ['channel', { granularity: 'channel' }],
    ['group', { granularity: 'group', groupSize: 16 }],
    ['asymmetric channel', { granularity: 'channel', symmetric: false }],
    ['asymmetric group, with a rest', { granularity: 'group', groupSize: 20, symmetric: false }],
  ])('gives in onnxruntime what its values give: %s', async (_, options) => {
    const model = oneLayer(kind)
    const { result, skipped, checks } = await apply(uniform, model, options)
    expect(skipped).toEqual([])
    const { x, w } = operators[kind]
    const unfolded = withInitializers(model, new Map([['w', float32(weightOf(result), w)]]))
    // With eight bits a weight onnxruntime would round the inputs of a product, and be off by half a per cent.
    expect(relativeError(await run(result, x), await run(unfolded, x))).toBeLessThan(1e-6)
    const sign = 'symmetric' in options ? 'u' : ''
    expect(result.graph.initializers.get('w.codes')!.dtype).toBe(`${sign}${wide ? 'int16' : 'int4'}`)
    expect(checks).toHaveLength(1)
    expect(checks[0]).toMatchObject({ passed: true, check: 'uniform: codes say the chosen values' })
    expect(relativeError(weightOf(result), toFloat32(model.graph.initializers.get('w')!))).toBeLessThan(0.2)
    const bytes = writeModel(result)
    expect(writeModel(readPack(writePack(result)))).toEqual(bytes)
  })

  it('has a codebook for values that are no multiples of a scale', async () => {
    const model = oneLayer(
      kind,
      'float32',
      noise(elementCount(operators[kind].w), 4).map((value) => value ** 5),
    )
    for (const granularity of ['tensor', 'channel']) {
      const options = { scheme: 'logarithmic', bits: 6, granularity }
      const { result, skipped, checks } = await apply(quantizedNeuralNetworks, model, options)
      expect(skipped).toEqual([])
      expect(checks[0].passed).toBe(true)
      expect(result.graph.nodes.map(({ op }) => op)).toContain('Gather')
      const { x, w } = operators[kind]
      const unfolded = withInitializers(model, new Map([['w', float32(weightOf(result), w)]]))
      expect(relativeError(await run(result, x), await run(unfolded, x))).toBeLessThan(1e-6)
      for (const value of weightOf(result))
        expect(value === 0 || Number.isInteger(Math.log2(Math.abs(value)))).toBe(true)
    }
  })
})

describe('the family of weight quantizers', () => {
  it('errs less with finer granularity', async () => {
    const spread = noise(64 * 64, 5).map((value, i) => value * (1 + (i >> 6)) * (1 + ((i % 64) >> 4)))
    const model = dense(64, 64, spread)
    const errors: number[] = []
    for (const options of [
      { granularity: 'tensor' },
      { granularity: 'channel' },
      { granularity: 'group', groupSize: 16 },
    ]) {
      const { result } = await apply(uniform, model, options)
      errors.push(relativeError(weightOf(result), spread))
    }
    expect(errors[1]).toBeLessThan(errors[0])
    expect(errors[2]).toBeLessThan(errors[1])
  })

  it('keeps what is all zero exactly that, also where zero is not among the values', async () => {
    const weights = noise(8 * 16, 6)
    weights.fill(0, 16, 32)
    const { result, checks } = await apply(binaryWeightNetworks, dense(8, 16, weights), {})
    const values = weightOf(result)
    expect([...values.subarray(16, 32)].every((value) => value === 0)).toBe(true)
    expect([...values.subarray(32)].every((value) => value !== 0)).toBe(true)
    expect(checks[0].passed).toBe(true)
    const all = await apply(binaryWeightNetworks, dense(8, 16, new Float32Array(128)), {})
    expect([...weightOf(all.result)].every((value) => value === 0)).toBe(true)
    const books = await apply(quantizedNeuralNetworks, dense(2, 512, noise(1024, 1).fill(0, 0, 512)), {
      scheme: 'logarithmic',
      bits: 6,
      granularity: 'channel',
    })
    expect([...weightOf(books.result).subarray(0, 512)].every((value) => value === 0)).toBe(true)
  })

  it('represents weights that are all the same', async () => {
    for (const method of [binaryWeightNetworks, uniform, admmQuantization, shiftCnn]) {
      const { result } = await apply(method, dense(8, 16, new Float32Array(128).fill(-0.3)), {})
      expect(relativeError(weightOf(result), new Float32Array(128).fill(-0.3))).toBeLessThan(1e-6)
    }
  })

  it.each(['float16', 'bfloat16', 'float64'] as const)('keeps the type of the weights: %s', async (dtype) => {
    const model = dense(16, 32, noise(512, 7), dtype)
    const { result, checks } = await apply(uniform, model, {})
    expect(checks[0].passed).toBe(true)
    const [{ node, input }] = layers(result)
    expect(constantValues(result)(node.inputs[input])!.dtype).toBe(dtype)
    if (dtype !== 'bfloat16') await run(result, [2, 32], dtype)
  })

  it('leaves alone, and says so, what would not get smaller or cannot be said', async () => {
    const tiny = await apply(uniform, dense(4, 1, noise(4, 8)), {})
    expect(tiny.skipped).toEqual(['layer: too small: 4 weights against 4 scales'])
    expect(tiny.checks).toEqual([])
    const small = await apply(uniform, dense(4, 16, new Float32Array(64).fill(1e-45)), {})
    expect(small.skipped).toEqual(['layer: its weights are too small or too large for a scale of their type'])
    const large = await apply(quantizedNeuralNetworks, dense(4, 16, noise(64, 8).fill(65000), 'float16'), {
      scheme: 'logarithmic',
    })
    expect(large.skipped).toEqual(['layer: its weights are too small or too large for a scale of their type'])
    const single = await apply(uniform, dense(64, 1, noise(64, 8)), { granularity: 'group' })
    expect(single.skipped).toEqual(['layer: a group lies along the inputs, of which each filter has one'])
    const books = await apply(quantizedNeuralNetworks, dense(64, 64, noise(4096, 8)), {
      granularity: 'group',
      scheme: 'logarithmic',
      bits: 8,
    })
    expect(books.skipped[0]).toContain('a codebook a group is not possible')
    const apart = Float32Array.from({ length: 32 }, (_, i) => 2 ** -(i % 8))
    const few = await apply(quantizedNeuralNetworks, dense(4, 8, apart), {
      granularity: 'channel',
      scheme: 'logarithmic',
      bits: 6,
    })
    expect(few.skipped).toEqual(['layer: too small: 32 weights against 4 codebooks'])
    const coded = await apply(rateDistortion, dense(64, 64, noise(4096, 8)), {})
    const again = await apply(uniform, coded.result, {})
    expect(again.skipped[0]).toContain('not plain floats')
    const reshaped = createDraft()
    const shape = reshaped.constant('shape', { dtype: 'int64', shape: [2], data: BigInt64Array.of(6n, 8n) })
    const weight = reshaped.add('Reshape', [reshaped.constant('w', float32(noise(48, 1), [4, 12])), shape])
    reshaped.output(
      reshaped.add('MatMul', [reshaped.input('x', 'float32', [1, 6]), weight], {}, { name: 'layer' }),
      'float32',
      [1, 8],
    )
    const model = reshaped.finish()
    for (const granularity of ['channel', 'group'])
      expect((await apply(uniform, model, { granularity })).skipped[0]).toContain('a Reshape mixes its')
    expect((await apply(uniform, model, { granularity: 'tensor' })).skipped).toEqual([])
  })

  it('takes options for single layers, and refuses bits that there are not', async () => {
    const draft = createDraft()
    const first = draft.constant('first.w', float32(noise(32 * 32, 1), [32, 32]))
    const second = draft.constant('second.w', float32(noise(32 * 32, 2), [32, 32]))
    const hidden = draft.add('MatMul', [draft.input('x', 'float32', [1, 32]), first], {}, { name: 'first' })
    draft.output(draft.add('MatMul', [hidden, second], {}, { name: 'second' }), 'float32', [1, 32])
    const { result } = await apply(uniform, draft.finish(), { bits: 2, layers: { second: { bits: 8 } } })
    const used = (name: string) => new Set(result.graph.initializers.get(name)!.data as Int16Array).size
    expect(used('first.w.codes')).toBe(3)
    expect(used('second.w.codes')).toBeGreaterThan(60)
    for (const bits of [1, 9, 2.5]) expect(uniform.options.safeParse({ bits }).success).toBe(false)
    expect(uniform.options.safeParse({ layers: { second: { bits: 9 } } }).success).toBe(false)
    expect(uniform.options.safeParse({ layers: { second: { biasBits: 4 } } }).success).toBe(false)
  })

  it('codes biases where that is asked for, and of its own layers only', async () => {
    const model = oneLayer('Conv')
    const untouched = await apply(uniform, model, {})
    expect(untouched.result.graph.initializers.get('b')).toBe(model.graph.initializers.get('b'))
    const { result } = await apply(uniform, model, { biasBits: 8 })
    const bias = layers(result)[0].node.inputs[2]
    const expected = toFloat32(model.graph.initializers.get('b')!)
    expect(relativeError(toFloat32(constantValues(result)(bias)!), expected)).toBeLessThan(0.01)
    expect(result.graph.initializers.get('b.codes')!.dtype).toBe('int8')
    const excluded = await apply(uniform, model, { biasBits: 8, exclude: ['layer'] })
    expect(writeModel(excluded.result)).toEqual(writeModel(model))
  })

  it('offers no groups where weights always become places in codebooks', async () => {
    for (const granularity of ['tensor', 'channel'])
      expect(trainedTernaryQuantization.options.safeParse({ granularity }).success).toBe(true)
    for (const wrong of [{ granularity: 'group' }, { groupSize: 8 }, { layers: { layer: { granularity: 'group' } } }])
      expect(trainedTernaryQuantization.options.safeParse(wrong).success).toBe(false)
    const { result, skipped } = await apply(trainedTernaryQuantization, dense(4, 64, noise(256, 3)), {
      granularity: 'channel',
    })
    expect(skipped).toEqual([])
    expect(result.graph.nodes.map(({ op }) => op)).toContain('Gather')
  })

  it('turns bits by its strength, within their bounds', () => {
    const given = uniform.options.parse({ bits: 4, layers: { a: { bits: 8 }, b: { granularity: 'tensor' } } })
    expect(uniform.strength!(given, 1)).toEqual(given)
    expect(uniform.strength!(given, 0)).toMatchObject({ bits: 7, layers: { a: { bits: 8 } } })
    expect(uniform.strength!(given, 2)).toMatchObject({ bits: 2, layers: { a: { bits: 5 } } })
    expect(shiftCnn.strength!(shiftCnn.options.parse({}), 2)).toMatchObject({ codebooks: 1, bits: 4 })
    expect(binaryWeightNetworks.strength).toBeUndefined()
  })

  it('counts scales, zero points and codebooks among what a layer takes', async () => {
    const { result, checks } = await apply(uniform, dense(32, 64, noise(2048, 9)), { symmetric: false })
    expect([...constantsOf(result, layers(result)[0])].sort()).toEqual(['w.codes', 'w.scale', 'w.zero_point'])
    // 4 + 32 (32 + 4) / 2048.
    expect(checks[0].detail).toContain('4.56 bits a weight with scales')
    const powers = Float32Array.from({ length: 2048 }, (_, i) => (i & 1 ? 1 : -1) * 2 ** (-(i >> 1) % 20))
    const books = await apply(quantizedNeuralNetworks, dense(32, 64, powers), { scheme: 'logarithmic', bits: 6 })
    expect([...constantsOf(books.result, layers(books.result)[0])].sort()).toEqual(['w.codebook', 'w.indices'])
    // 6 + 40 · 32 / 2048: of the 63 values only 40 are there.
    expect(books.checks[0].detail).toContain('6.63 bits a weight with scales')
  })
})
