import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { createDraft, float, type Draft } from '../../../../src/ir/draft.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { foldBatchNorm } from '../../../../src/methods/architecture/fold-batch-norm.ts'
import type { ProofCheck } from '../../../../src/methods/method.ts'
import { withIntegerCodes } from '../../../../src/methods/quantization/integer-codes.ts'
import type { DType } from '../../../../src/tensor/dtype.ts'
import { fromNumbers } from '../../../../src/tensor/elements.ts'
import { toFloat32 } from '../../../../src/tensor/half.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { float32 } from '../../../../src/tensor/tensor.ts'
import { parameterBytes } from '../../../../src/pipelines/measure.ts'
import { resnet20 } from '../../../../src/zoo/resnet.ts'

const random = createRandom(3)
const normal = (shape: number[], deviation = 1, mean = 0) =>
  float32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => mean + deviation * random.normal()),
    shape,
  )

/** Conv, normalization, Relu, Gemm, normalization; with a factor of zero and a negative one. */
function network({ bias }: { bias: boolean }): Model {
  const draft = createDraft()
  const norm = (x: string, name: string, channels: number) => {
    const gain = normal([channels], 0.3, 1)
    gain.data[0] = 0
    gain.data[1] = -0.7
    return draft.add(
      'BatchNormalization',
      [
        x,
        draft.constant(`${name}.weight`, gain),
        draft.constant(`${name}.bias`, normal([channels])),
        draft.constant(`${name}.mean`, normal([channels])),
        draft.constant(`${name}.var`, float32(Float32Array.from({ length: channels }, (_, c) => 0.5 + c))),
      ],
      { epsilon: float(1e-3) },
    )
  }
  draft.input('x', 'float32', ['N', 2, 5, 5])
  const own = bias ? [draft.constant('conv.bias', normal([4]))] : []
  const conv = draft.add(
    'Conv',
    ['x', draft.constant('conv.weight', normal([4, 2, 3, 3])), ...own],
    {},
    { name: 'conv' },
  )
  const flat = draft.add('Flatten', [draft.add('Relu', [norm(conv, 'bn1', 4)])], { axis: 1 })
  const fc = draft.add('Gemm', [flat, draft.constant('fc.weight', normal([6, 36], 0.2))], { transB: 1 }, { name: 'fc' })
  draft.output(norm(fc, 'bn2', 6), 'float32', ['N', 6])
  return draft.finish()
}

async function run(model: Model, shape: number[]): Promise<Float32Array> {
  const stream = createRandom(8)
  const x = float32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => stream.normal()),
    shape,
  )
  const session = await onnxruntime.createSession(model)
  const outputs = await session.run({ [model.graph.inputs[0].name]: x })
  await session.close()
  return toFloat32(Object.values(outputs)[0])
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)
}

const fold = (model: Model, options: object = {}, skipped: string[] = [], checks?: ProofCheck[]) =>
  foldBatchNorm.apply(model, foldBatchNorm.options.parse(options), {
    seed: 1,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    ...(checks ? { proved: (check) => checks.push(check) } : {}),
  })

const norms = (model: Model) => model.graph.nodes.filter(({ op }) => op === 'BatchNormalization').length

describe('fold-batch-norm', () => {
  it.each([true, false])('computes the same, with a bias before: %s', async (bias) => {
    const model = network({ bias })
    const folded = await fold(model)
    expect(verify(folded)).toEqual([])
    expect(norms(folded)).toBe(0)
    expect(largestDifference(await run(folded, [3, 2, 5, 5]), await run(model, [3, 2, 5, 5]))).toBeLessThan(1e-5)
  })

  it('keeps the codes of integer weights, turned where the factor is negative, and errs by its roundings only', async () => {
    const model = network({ bias: false })
    const coded = withIntegerCodes(
      model,
      layers(model).map((layer) => {
        const values = toFloat32(model.graph.initializers.get(layer.weight)!)
        return { layer, codes: Int8Array.from(values, (v) => Math.round(v * 20)), scale: Float32Array.of(0.05) }
      }),
    )
    const folded = await fold(coded, { bits: 12 })
    expect(verify(folded)).toEqual([])
    expect(norms(folded)).toBe(0)
    const [before, after] = [coded, folded].map((one) => one.graph.initializers.get('conv.weight.codes')!.data)
    const signs = [0, -1, 1, 1]
    expect(Array.from(after as Int8Array)).toEqual(
      Array.from(before as Int8Array, (code, i) => code * signs[Math.floor(i / 18)] + 0),
    )
    const scales = toFloat32(folded.graph.initializers.get('conv.weight.scale')!)
    for (const scale of scales) expect(scale).toBeGreaterThan(0)
    const [exact, rounded] = [await run(coded, [3, 2, 5, 5]), await run(folded, [3, 2, 5, 5])]
    expect(largestDifference(exact, rounded)).toBeLessThan(0.01)
    const coarse = await run(await fold(coded, { bits: 5 }), [3, 2, 5, 5])
    expect(largestDifference(exact, coarse)).toBeGreaterThan(largestDifference(exact, rounded))
  })

  it('leaves no normalization in a ResNet, which becomes smaller by it', async () => {
    const model = resnet20({ seed: 1 })
    const folded = await fold(model)
    expect(norms(folded)).toBe(0)
    expect(largestDifference(await run(folded, [1, 3, 32, 32]), await run(model, [1, 3, 32, 32]))).toBeLessThan(1e-4)
    expect(parameterBytes(folded)).toBeLessThan(parameterBytes(model))
  })

  /** One layer behind the input, [4, 3], and a normalization with a zero and a negative factor. */
  function product(weight: (draft: Draft) => string, options: { matmul?: boolean } = {}): Model {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', 3])
    const value = weight(draft)
    const made = options.matmul
      ? draft.add(
          'Add',
          [draft.add('MatMul', [x, value], {}, { name: 'fc' }), draft.constant('fc.bias', normal([4]))],
          {},
        )
      : draft.add('Gemm', [x, value], { transB: 1 }, { name: 'fc' })
    const constants = [
      [0, -0.7, 1.2, 0.3],
      [0.5, -1, 0, 2],
      [0.1, 0.2, -0.3, 0],
      [1, 2, 0.5, 0.8],
    ].map((values) => draft.constant('bn', float32(values)))
    draft.output(draft.add('BatchNormalization', [made, ...constants]), 'float32', ['N', 4])
    return draft.finish()
  }

  const codes = (dtype: DType, values: number[], shape = [4, 3]) => fromNumbers(dtype, shape, values)
  const several = [1, -7, 3, 0, 5, -2, 7, 7, -7, 2, -1, 4]

  const forms: [string, (draft: Draft) => string][] = [
    [
      'codes with one zero point',
      (draft) =>
        draft.add('DequantizeLinear', [
          draft.constant('w.codes', codes('uint8', [0, 255, 3, 17, 200, 90, 128, 1, 254, 130, 120, 60])),
          draft.constant('w.scale', float32([0.01], [])),
          draft.constant('w.zero', codes('uint8', [121], [])),
        ]),
    ],
    [
      'codes in blocks of inputs',
      (draft) =>
        draft.add(
          'DequantizeLinear',
          [
            draft.constant('w.codes', codes('int8', several)),
            draft.constant('w.scale', float32([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [4, 2])),
          ],
          { axis: 1, block_size: 2 },
        ),
    ],
    [
      'a codebook a channel',
      (draft) => {
        const places = draft.constant('w.indices', codes('uint8', [0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 0]))
        const offsets = draft.constant('w.offsets', fromNumbers('int32', [4, 1], [0, 2, 4, 6]))
        const book = draft.constant('w.codebook', float32([-1, 1, -2, 3, 0.5, 0.25, 0, 9]))
        return draft.add('Gather', [book, draft.add('Add', [draft.add('Cast', [places], { to: 6 }), offsets])], {
          axis: 0,
        })
      },
    ],
  ]
  it.each(forms)('is exact for %s', async (_, weight) => {
    const model = product(weight)
    const checks: ProofCheck[] = []
    const folded = await fold(model, { bits: 24 }, [], checks)
    expect(verify(folded)).toEqual([])
    expect(norms(folded)).toBe(0)
    expect(checks).toMatchObject([{ passed: true }])
    expect(largestDifference(await run(folded, [5, 3]), await run(model, [5, 3]))).toBeLessThan(1e-5)
  })

  it('makes a product of matrices and its addition one Gemm', async () => {
    const model = product((draft) => draft.constant('fc.weight', normal([3, 4])), { matmul: true })
    const folded = await fold(model)
    expect(folded.graph.nodes.map(({ op }) => op)).toEqual(['Gemm'])
    expect(largestDifference(await run(folded, [5, 3]), await run(model, [5, 3]))).toBeLessThan(1e-5)
  })

  it.each([
    [
      'a code without an opposite',
      (draft: Draft) =>
        draft.add('DequantizeLinear', [
          draft.constant(
            'w.codes',
            codes(
              'int8',
              several.map((code, i) => (i === 4 ? -128 : code)),
            ),
          ),
          draft.constant('w.scale', float32([0.1], [])),
        ]),
      'a factor is negative, and a code of -128 has no opposite in int8',
    ],
    [
      'one codebook for all',
      (draft: Draft) =>
        draft.add('Gather', [
          draft.constant('w.codebook', float32([-1, 1])),
          draft.add(
            'Cast',
            [
              draft.constant(
                'w.indices',
                codes(
                  'uint8',
                  several.map((code) => code & 1),
                ),
              ),
            ],
            { to: 6 },
          ),
        ]),
      'one codebook serves all of its channels',
    ],
    [
      'weights that are converted',
      (draft: Draft) => draft.add('Cast', [draft.constant('w', fromNumbers('float16', [4, 3], several))], { to: 1 }),
      'its weights are neither floats nor codes',
    ],
  ])('leaves %s and says why', async (_, weight, reason) => {
    const skipped: string[] = []
    const model = product(weight)
    expect(await fold(model, {}, skipped)).toBe(model)
    expect(skipped).toEqual([`fc: its normalization stays: ${reason}`])
  })

  it('says why a normalization stays', async () => {
    const model = network({ bias: true })
    const draft = createDraft(model)
    const conv = draft.nodes.find(({ op }) => op === 'Conv')!
    draft.output(conv.outputs[0], 'float32', ['N', 4, 3, 3])
    const skipped: string[] = []
    const folded = await fold(draft.finish(), {}, skipped)
    expect(norms(folded)).toBe(1)
    expect(skipped).toEqual(['conv: its normalization stays: other nodes read what the layer makes'])
  })
})
