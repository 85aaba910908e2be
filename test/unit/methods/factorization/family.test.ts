import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../../src/engines/reference.ts'
import { writePack } from '../../../../src/formats/pack/write.ts'
import { createDraft, type AttributeValue } from '../../../../src/ir/draft.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { fixedPointFactorization } from '../../../../src/methods/factorization/fixed-point-factorization.ts'
import { bitsOfRank } from '../../../../src/methods/factorization/rank.ts'
import { semiBinaryDecomposition } from '../../../../src/methods/factorization/semi-binary-decomposition.ts'
import type { Context } from '../../../../src/methods/method.ts'
import { weightRows } from '../../../../src/methods/weight-rows.ts'
import { measureLayers } from '../../../../src/pipelines/measure-layers.ts'
import { measureSize } from '../../../../src/pipelines/measure.ts'
import type { DType } from '../../../../src/tensor/dtype.ts'
import { toNumbers } from '../../../../src/tensor/elements.ts'
import { fromFloat32, toFloat32 } from '../../../../src/tensor/half.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { elementCount, float32, type Tensor } from '../../../../src/tensor/tensor.ts'
import { patternData } from '../../../support/small-data.ts'

interface One {
  readonly op: string
  readonly input: readonly number[]
  readonly weight: readonly number[]
  readonly attributes?: Record<string, AttributeValue>
  readonly bias?: number
  readonly dtype?: DType
}

function noise(seed: number, shape: readonly number[], dtype: DType = 'float32'): Tensor {
  const random = createRandom(seed)
  return fromFloat32(
    dtype,
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
  )
}

/** A model of one layer, called 'layer', with random weights 'w'. */
function modelOf({ op, input, weight, attributes = {}, bias, dtype = 'float32' }: One): Model {
  const draft = createDraft()
  const x = draft.input('x', dtype, ['n', ...input])
  const inputs = [x, draft.constant('w', noise(1, weight, dtype))]
  if (bias !== undefined && op !== 'MatMul') inputs.push(draft.constant('b', noise(2, [bias], dtype)))
  let y = draft.add(op, inputs, attributes, { name: 'layer' })
  if (bias !== undefined && op === 'MatMul') y = draft.add('Add', [y, draft.constant('b', noise(2, [bias], dtype))])
  draft.output(y, dtype)
  return draft.finish()
}

function contextOf(skipped: string[] = [], inputShape?: readonly number[]): Context {
  const data = inputShape && patternData({ size: 64, seed: 1, classes: 4, inputShape })
  return {
    seed: 1,
    engine: onnxruntime,
    ...(data ? { data: { train: data, validation: data } } : {}),
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
  }
}

const decompose = (model: Model, options: object, context = contextOf()) =>
  semiBinaryDecomposition.apply(model, semiBinaryDecomposition.options.parse({ retrain: false, ...options }), context)
const factorize = (model: Model, options: object, context = contextOf()) =>
  fixedPointFactorization.apply(model, fixedPointFactorization.options.parse({ retrain: false, ...options }), context)

async function run(model: Model, engine: typeof onnxruntime, x: Tensor): Promise<Float32Array> {
  const session = await engine.createSession(model)
  try {
    return toFloat32(Object.values(await session.run({ x }))[0])
  } finally {
    await session.close()
  }
}

function distance(a: Float32Array, b: Float32Array): number {
  let [difference, size] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    difference += (a[i] - b[i]) ** 2
    size += a[i] ** 2
  }
  return Math.sqrt(difference / size)
}

const cases: (One & { readonly label: string; readonly codes: string })[] = [
  {
    label: 'a convolution with strides, pads and dilations',
    op: 'Conv',
    input: [3, 9, 8],
    weight: [6, 3, 3, 2],
    attributes: { strides: [2, 1], pads: [1, 0, 1, 2], dilations: [1, 2] },
    bias: 6,
    codes: 'int4',
  },
  {
    label: 'a convolution in groups',
    op: 'Conv',
    input: [4, 6, 6],
    weight: [8, 2, 3, 3],
    attributes: { group: 2, auto_pad: 'SAME_UPPER' },
    codes: 'int4',
  },
  {
    label: 'a convolution of one axis, channel by channel',
    op: 'Conv',
    input: [5, 12],
    weight: [10, 1, 4],
    attributes: { group: 5 },
    codes: 'int4',
  },
  {
    label: 'a transposed convolution in groups',
    op: 'ConvTranspose',
    input: [6, 5, 5],
    weight: [6, 2, 3, 2],
    attributes: { group: 2, strides: [2, 2], pads: [1, 0, 0, 1], output_padding: [1, 0] },
    bias: 4,
    codes: 'int4',
  },
  {
    label: 'a Gemm that transposes its weight',
    op: 'Gemm',
    input: [7],
    weight: [5, 7],
    attributes: { transB: 1, alpha: { kind: 'float', value: 0.5 }, beta: { kind: 'float', value: 2 } },
    bias: 5,
    codes: 'int4',
  },
  { label: 'a Gemm that does not', op: 'Gemm', input: [7], weight: [7, 5], bias: 5, codes: 'int4' },
  { label: 'a product of matrices', op: 'MatMul', input: [3, 7], weight: [7, 5], bias: 5, codes: 'int16' },
  {
    label: 'half precision',
    op: 'Gemm',
    input: [7],
    weight: [7, 5],
    bias: 5,
    codes: 'int4',
    dtype: 'float16',
  },
]

describe('a factorized layer', () => {
  it.each(cases)('computes what the layer computed: $label', async ({ codes, ...one }) => {
    const model = modelOf(one)
    const skipped: string[] = []
    const few = await decompose(model, { rank: 2, passes: 1 }, contextOf(skipped))
    expect(skipped).toEqual([])
    expect(verify(few)).toEqual([])
    const parts = few.graph.nodes.filter(({ name }) => name.startsWith('layer.')).map(({ name, op }) => [name, op])
    const first = one.op === 'ConvTranspose' ? 'Conv' : one.op
    expect(parts).toEqual([
      ['layer.v', first],
      ['layer.d', 'Mul'],
      ['layer.u', one.op],
    ])
    const stored = [...few.graph.initializers].filter(([name]) => name.endsWith('.codes'))
    expect(stored.map(([, { dtype }]) => dtype)).toEqual([codes, codes])
    for (const [, tensor] of stored) expect(toNumbers(tensor).every((code) => Math.abs(code) === 1)).toBe(true)
    expect(few.graph.outputs).toEqual(model.graph.outputs)
    expect(few.graph.initializers.has('w')).toBe(false)

    const x = noise(9, [2, ...one.input], one.dtype)
    const half = one.dtype === 'float16'
    const [fast, slow] = [await run(few, onnxruntime, x), await run(few, referenceEngine, x)]
    expect(distance(slow, fast)).toBeLessThan(half ? 5e-3 : 1e-6)
    // The layer with the product of the factors in the place of its weight computes the same.
    const whole = modelWith(model, productOf(model, few))
    expect(distance(await run(whole, onnxruntime, x), fast)).toBeLessThan(half ? 5e-3 : 1e-5)
  })
})

/** The product of the factors in the place of the weight, element by element from their definition. */
function productOf(model: Model, factorized: Model): Float32Array {
  const [layer] = layers(model)
  const rows = weightRows(model, layer)!
  const { initializers } = factorized.graph
  const [v, u] = ['w.v.codes', 'w.u.codes'].map((name) => initializers.get(name)!)
  const d = toFloat32(initializers.get('w.d')!)
  const rank = d.length / rows.groups
  const perGroup = rows.count / rows.groups
  const [vs, us] = [toNumbers(v), toNumbers(u)]
  const matrix = layer.node.op === 'MatMul'
  const byTerm = matrix || layer.node.op === 'ConvTranspose'
  const values = new Float32Array(rows.count * rows.length)
  for (let r = 0; r < rows.count; r++)
    for (let k = 0; k < rows.length; k++)
      for (let t = 0; t < rank; t++) {
        const group = Math.floor(r / perGroup)
        const term = group * rank + t
        const code = matrix ? vs[k * rank + term] : vs[term * rows.length + k]
        const row = byTerm ? us[term * perGroup + (r % perGroup)] : us[r * rank + t]
        values[rows.base[r] + k * rows.stride] += row * d[term] * code
      }
  return values
}

function modelWith(model: Model, values: Float32Array): Model {
  const { dtype, shape } = model.graph.initializers.get('w')!
  const initializers = new Map(model.graph.initializers).set('w', fromFloat32(dtype, shape, values))
  return { ...model, graph: { ...model.graph, initializers } }
}

describe('the number of terms', () => {
  const gemm = modelOf({ op: 'Gemm', input: [200], weight: [100, 200], attributes: { transB: 1 } })
  const rankIn = (model: Model) => model.graph.initializers.get('w.d')!.shape[0]

  it('is what fits into the bits, with a scale for each term', async () => {
    // 300 codes and 32 bits a term: 20,000 bits are 60 terms, and 30 with two bits a code.
    expect(rankIn(await decompose(gemm, {}))).toBe(60)
    expect(rankIn(await decompose(gemm, { bits: 0.5 }))).toBe(30)
    expect(rankIn(await decompose(gemm, { ratio: 1 / 32 }))).toBe(60)
    expect(rankIn(await decompose(gemm, { rank: 7 }))).toBe(7)
    expect(rankIn(await factorize(gemm, { bits: 1, passes: 0 }))).toBe(Math.floor(20_000 / 632))
    expect(rankIn(await decompose(gemm, { rank: 7, layers: { layer: { bits: 0.5 } } }))).toBe(30)
  })

  it('takes as many bits a weight in the report as the options say, all counted', async () => {
    const model = await decompose(gemm, { bits: 1 })
    const pack = writePack(model)
    const [row] = measureLayers(gemm, model, pack, new Map())
    expect(row).toMatchObject({ name: 'layer', op: 'Gemm', shape: [100, 200], density: 1 })
    expect(row.parts).toEqual([
      { name: 'layer.v', op: 'Gemm', shape: [60, 200] },
      { name: 'layer.d', op: 'Mul', shape: [60] },
      { name: 'layer.u', op: 'Gemm', shape: [100, 60] },
    ])
    expect(row.after).toBeUndefined()
    expect(row.shapeAfter).toBeUndefined()
    // Random signs and scales do not compress: what is asked for, and a little for the streams around it.
    expect(row.bitsPerWeight).toBeGreaterThan(0.95)
    expect(row.bitsPerWeight).toBeLessThan(1.1)
    expect(row.work).toMatchObject({ macsBefore: 20_000, macsAfter: 60 * 300 })
    expect(measureSize(gemm, model, pack.length).weightsKept).toBe(60 * 300)
  })

  it('is refused when it is said twice, at the place', async () => {
    await expect(decompose(gemm, { rank: 3, bits: 1 })).rejects.toMatchObject({
      code: 'factorization-size',
      place: 'bits',
    })
    await expect(decompose(gemm, { layers: { layer: { rank: 3, ratio: 0.5 } } })).rejects.toMatchObject({
      code: 'factorization-size',
      place: 'layer',
    })
  })

  it('grows and shrinks with the strength', () => {
    const strength = (options: object, s: number) =>
      semiBinaryDecomposition.strength!(semiBinaryDecomposition.options.parse(options), s)
    expect(strength({}, 0)).toMatchObject({ bits: 2 })
    expect(strength({ rank: 10, layers: { a: { ratio: 0.1 } } }, 2)).toMatchObject({
      rank: 5,
      layers: { a: { ratio: 0.05 } },
    })
  })

  it('counts codes of all groups', () => {
    const model = modelOf({ op: 'Conv', input: [4, 6, 6], weight: [8, 2, 3, 3], attributes: { group: 2 } })
    const rows = weightRows(model, layers(model)[0])!
    expect(bitsOfRank(rows, 3, { code: 1, scale: 32 })).toBe(2 * 3 * (18 + 4 + 32))
  })
})

describe('layers that stay as they are', () => {
  const reasonFor = async (model: Model, options: object = { rank: 1 }) => {
    const skipped: string[] = []
    const result = await decompose(model, options, contextOf(skipped))
    expect(result.graph.nodes).toEqual(model.graph.nodes)
    return skipped.join('; ')
  }

  it('are reported with the reason', async () => {
    const small = modelOf({ op: 'Gemm', input: [4], weight: [4, 4] })
    expect(await reasonFor(small, {})).toBe('layer: too small for the bits it may take: one term takes 2.50 a weight')
    expect(await reasonFor(small, { rank: 20 })).toMatch(/layer: factors are no smaller: 20 terms take 100 bytes/)
    const draft = createDraft()
    const x = draft.input('x', 'float32', [8, 4])
    const w = draft.constant('w', noise(1, [9, 8]))
    draft.output(draft.add('MatMul', [w, x], {}, { name: 'layer' }), 'float32', [9, 4])
    expect(await reasonFor(draft.finish())).toBe('layer: its weight is the left factor of a product')
  })

  it('are those whose weight something else reads, or two layers read in different ways', async () => {
    const build = (finish: (draft: ReturnType<typeof createDraft>, x: string, w: string) => string) => {
      const draft = createDraft()
      const x = draft.input('x', 'float32', ['n', 8])
      const w = draft.constant('w', noise(1, [8, 8]))
      const y = draft.add('MatMul', [x, w], {}, { name: 'layer' })
      draft.output(finish(draft, y, w), 'float32', ['n', 8])
      return draft.finish()
    }
    const added = build((draft, y, w) => draft.add('Add', [y, draft.add('ReduceSum', [w], { keepdims: 0 })]))
    expect(await reasonFor(added)).toBe('layer: something besides layers reads its weight')
    const turned = build((draft, y, w) => draft.add('MatMul', [y, draft.add('Transpose', [w])], {}, { name: 'other' }))
    expect(await reasonFor(turned)).toBe('layer: another layer reads its weight in another way')
  })

  it('are those that were factorized before', async () => {
    const once = await decompose(modelOf({ op: 'Gemm', input: [8], weight: [8, 8] }), { rank: 2 })
    expect(await reasonFor(once)).toMatch(/layer\.v: its weights are not plain floats.*layer\.u: /)
  })
})

describe('weights of special kinds', () => {
  it('that two layers share stay shared', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 8])
    const w = draft.constant('w', noise(1, [8, 8]))
    const y = draft.add('MatMul', [x, w], {}, { name: 'a' })
    draft.output(draft.add('MatMul', [y, w], {}, { name: 'b' }), 'float32', ['n', 8])
    const result = await decompose(draft.finish(), { rank: 2 })
    expect(layers(result).map(({ name }) => name)).toEqual(['a.v', 'a.u', 'b.v', 'b.u'])
    expect([...result.graph.initializers.keys()].filter((name) => name.endsWith('.codes'))).toHaveLength(2)
  })

  it('that are all zero or all the same are exact, in one term', async () => {
    const model = modelOf({ op: 'Gemm', input: [12], weight: [12, 9], bias: 9 })
    const x = noise(9, [3, 12])
    for (const value of [0, -0.75]) {
      const constant = modelWith(model, new Float32Array(108).fill(value))
      for (const method of [decompose, factorize]) {
        const result = await method(constant, { rank: 4 })
        expect(result.graph.initializers.get('w.d')!.shape).toEqual([1])
        expect(distance(await run(constant, onnxruntime, x), await run(result, onnxruntime, x))).toBeLessThan(1e-6)
      }
    }
  })

  it('of -1, 0 and 1 are exact where few ternary terms make them', async () => {
    const model = modelOf({ op: 'Gemm', input: [8], weight: [8, 6] })
    const block = Float32Array.from({ length: 48 }, (_, i) => (i % 6 < 3 && i < 24 ? 0.5 : 0))
    const result = await factorize(modelWith(model, block), { rank: 3 })
    const codes = new Set(toNumbers(result.graph.initializers.get('w.v.codes')!))
    expect(codes).toEqual(new Set([0, 1]))
    const x = float32(Float32Array.from({ length: 8 }, (_, i) => i))
    const fed = { ...x, shape: [1, 8] }
    expect(await run(result, onnxruntime, fed)).toEqual(await run(modelWith(model, block), onnxruntime, fed))
  })
})

describe('factors by feature maps', () => {
  it('make less error at the outputs than factors by weights, layer behind layer', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 24])
    const hidden = draft.add('Gemm', [x, draft.constant('w1', noise(1, [20, 24]))], { transB: 1 }, { name: 'first' })
    const active = draft.add('Relu', [hidden])
    const last = draft.add(
      'Gemm',
      [active, draft.constant('w2', noise(2, [16, 20]))],
      { transB: 1 },
      { name: 'second' },
    )
    draft.output(last, 'float32', ['n', 16])
    const model = draft.finish()
    const context = contextOf([], [24])
    const { inputs } = await context.data!.train.batch(Array.from({ length: 64 }, (_, i) => i))
    const before = await run(model, onnxruntime, inputs)
    const errorOf = async (options: object) =>
      distance(before, await run(await decompose(model, { rank: 8, ...options }, context), onnxruntime, inputs))
    const byWeights = await errorOf({})
    const byOutputs = await errorOf({ orientation: 'feature-maps' })
    expect(byOutputs).toBeLessThan(0.9 * byWeights)
    const again = await errorOf({ orientation: 'feature-maps', passes: 3 })
    expect(again).toBeLessThan(byOutputs)
  })

  it('need data', async () => {
    const model = modelOf({ op: 'Gemm', input: [12], weight: [12, 9] })
    await expect(decompose(model, { rank: 1, orientation: 'feature-maps' })).rejects.toMatchObject({
      code: 'no-calibration-data',
    })
  })
})
