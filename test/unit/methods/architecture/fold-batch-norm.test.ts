import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { createDraft, float } from '../../../../src/ir/draft.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { foldBatchNorm } from '../../../../src/methods/architecture/fold-batch-norm.ts'
import { withIntegerCodes } from '../../../../src/methods/quantization/integer-codes.ts'
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

const fold = (model: Model, options: object = {}, skipped: string[] = []) =>
  foldBatchNorm.apply(model, foldBatchNorm.options.parse(options), {
    seed: 1,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
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
