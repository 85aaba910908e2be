import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { createDraft, type AttributeValue } from '../../../../src/ir/draft.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { fixedPointFactorization } from '../../../../src/methods/factorization/fixed-point-factorization.ts'
import { semiBinaryDecomposition } from '../../../../src/methods/factorization/semi-binary-decomposition.ts'
import type { Context, ProofCheck } from '../../../../src/methods/method.ts'
import type { DType } from '../../../../src/tensor/dtype.ts'
import { toNumbers } from '../../../../src/tensor/elements.ts'
import { fromFloat32, toFloat32 } from '../../../../src/tensor/half.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { elementCount, type Tensor } from '../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../src/training/evaluate.ts'
import { patternData } from '../../../support/small-data.ts'

function noise(seed: number, shape: readonly number[], dtype: DType = 'float32'): Tensor {
  const random = createRandom(seed)
  const values = Float32Array.from({ length: elementCount(shape) }, () => 0.3 * random.normal())
  return fromFloat32(dtype, shape, values)
}

interface One {
  readonly op: string
  readonly input: readonly number[]
  readonly weight: readonly number[]
  readonly attributes?: Record<string, AttributeValue>
  /** Elements that the layer puts out for an example. */
  readonly hidden: number
  readonly dtype?: DType
}

const classes = 4

/** A classifier: the layer 'first' with the weight 'w', Relu, and 'last', which gives the classes. */
function classifier(
  { op, input, weight, attributes = {}, hidden, dtype = 'float32' }: One,
  w = noise(1, weight, dtype),
) {
  const draft = createDraft()
  const x = draft.input('x', dtype, ['n', ...input])
  const y = draft.add(op, [x, draft.constant('w', w)], attributes, { name: 'first' })
  const flat = draft.add('Flatten', [draft.add('Relu', [y])])
  const last = [flat, draft.constant('v', noise(2, [classes, hidden], dtype))]
  draft.output(draft.add('Gemm', last, { transB: 1 }, { name: 'last' }), dtype, ['n', classes])
  return draft.finish()
}

function contextOf(input: readonly number[], proofs: ProofCheck[] = []): Context {
  const facts = { classes, inputShape: input }
  const data = {
    train: patternData({ size: 256, seed: 1, ...facts }),
    validation: patternData({ size: 64, seed: 2, ...facts }),
  }
  return {
    seed: 1,
    engine: onnxruntime,
    data,
    training: { epochs: 4, batchSize: 32, learningRate: 0.02 },
    proved: (check) => proofs.push(check),
    skip: () => {},
  }
}

const methods = {
  'semi-binary-decomposition': semiBinaryDecomposition,
  'fixed-point-factorization': fixedPointFactorization,
}
type Name = keyof typeof methods
const apply = (name: Name, model: Model, options: object, context: Context) =>
  methods[name].apply(model, methods[name].options.parse({ exclude: ['last'], ...options }), context)

const dense: One = { op: 'Gemm', input: [24], weight: [16, 24], attributes: { transB: 1 }, hidden: 16 }

const cases: (One & { readonly label: string })[] = [
  { label: 'a product with a transposed weight', ...dense },
  { label: 'a product of matrices', op: 'MatMul', input: [24], weight: [24, 16], hidden: 16 },
  {
    label: 'a convolution in groups',
    op: 'Conv',
    input: [4, 6, 6],
    weight: [8, 2, 3, 3],
    attributes: { group: 2 },
    hidden: 8 * 16,
  },
  { label: 'a transposed convolution', op: 'ConvTranspose', input: [6, 4, 4], weight: [6, 4, 3, 3], hidden: 4 * 36 },
  { label: 'half precision', ...dense, dtype: 'float16' },
]

describe.each(Object.keys(methods) as Name[])('factors trained by %s', (name) => {
  it.each(cases)('are codes, and compute what was trained: $label', async (one) => {
    const model = classifier(one)
    const proofs: ProofCheck[] = []
    const context = contextOf(one.input, proofs)
    const plain = await apply(name, model, { rank: 4, retrain: false }, context)
    expect(proofs).toEqual([])
    const tuned = await apply(name, model, { rank: 4 }, context)
    expect(proofs).toMatchObject([{ check: `${name}: the frozen network computes what was trained`, passed: true }])
    expect(verify(tuned)).toEqual([])
    expect(tuned.graph.nodes.map(({ op, domain }) => [op, domain])).toEqual(
      plain.graph.nodes.map(({ op, domain }) => [op, domain]),
    )
    for (const factor of ['w.v.codes', 'w.u.codes']) {
      const [before, after] = [plain, tuned].map(({ graph }) => graph.initializers.get(factor)!)
      expect([after.dtype, after.shape]).toEqual([before.dtype, before.shape])
      const allowed = name === 'semi-binary-decomposition' ? [-1, 1] : [-1, 0, 1]
      expect(toNumbers(after).every((code) => allowed.includes(code))).toBe(true)
    }
    const scales = [plain, tuned].map(({ graph }) => graph.initializers.get('w.d')!)
    expect(scales[1].dtype).toBe(scales[0].dtype)
    expect(toFloat32(scales[1])).not.toEqual(toFloat32(scales[0]))
    const losses = await Promise.all(
      [plain, tuned].map(async (result) => (await evaluate(result, context.data!.train, onnxruntime)).loss),
    )
    expect(losses[1]).toBeLessThan(0.9 * losses[0])
  })

  it('change their codes in training', async () => {
    const context = contextOf(dense.input)
    const [plain, tuned] = [
      await apply(name, classifier(dense), { rank: 4, retrain: false }, context),
      await apply(name, classifier(dense), { rank: 4, retrain: { epochs: 10, learningRate: 0.1 } }, context),
    ].map(({ graph }) => toNumbers(graph.initializers.get('w.v.codes')!))
    expect(tuned).not.toEqual(plain)
  })

  it('stay zero, exactly, where the weights are', async () => {
    const zeros = fromFloat32('float32', dense.weight, new Float32Array(elementCount(dense.weight)))
    const tuned = await apply(name, classifier(dense, zeros), { rank: 4 }, contextOf(dense.input))
    expect([...toFloat32(tuned.graph.initializers.get('w.d')!)]).toEqual([0])
  })

  it('go on after a kill where they were, by the label of the training', async () => {
    const model = classifier(dense)
    const kept = new Map<string, Uint8Array>()
    const checkpoints = (label: string) => ({
      read: () => Promise.resolve(kept.get(label)),
      write: (bytes: Uint8Array) => Promise.resolve(void kept.set(label, bytes)),
    })
    const whole = await apply(name, model, { rank: 4 }, contextOf(dense.input))
    const stop = new AbortController()
    const killed = apply(
      name,
      model,
      { rank: 4 },
      {
        ...contextOf(dense.input),
        checkpoints,
        signal: stop.signal,
        progress: ({ task, done }) => task === 'fine-tune: train' && done > 12 && stop.abort(),
      },
    )
    await expect(killed).rejects.toMatchObject({ code: 'aborted' })
    expect([...kept.keys()]).toEqual(['fine-tune'])
    const resumed = await apply(name, model, { rank: 4 }, { ...contextOf(dense.input), checkpoints })
    expect(writeModel(resumed)).toEqual(writeModel(whole))
  })

  it('are refused with the reason: no data, or no gradient that reaches them', async () => {
    const model = classifier(dense)
    const { data: _, ...without } = contextOf(dense.input)
    await expect(apply(name, model, { rank: 4, retrain: { epochs: 1 } }, without)).rejects.toMatchObject({
      code: 'retrain-without-data',
      place: 'retrain',
    })
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 24])
    const y = draft.add('Gemm', [x, draft.constant('w', noise(1, [16, 24]))], { transB: 1 }, { name: 'first' })
    const last = [draft.add('Floor', [y]), draft.constant('v', noise(2, [classes, 16]))]
    draft.output(draft.add('Gemm', last, { transB: 1 }, { name: 'last' }), 'float32', ['n', classes])
    await expect(apply(name, draft.finish(), { rank: 4 }, contextOf([24]))).rejects.toMatchObject({
      code: 'no-gradient-reaches',
      place: 'first',
    })
  })

  it('are left alone where the layer is too small, and nothing is trained then', async () => {
    const small: One = { op: 'Gemm', input: [4], weight: [4, 4], attributes: { transB: 1 }, hidden: 4 }
    const model = classifier(small)
    const skipped: string[] = []
    const context = {
      ...contextOf(small.input),
      skip: (layer: string, reason: string) => skipped.push(`${layer}: ${reason}`),
    }
    expect(writeModel(await apply(name, model, { bits: 1 }, context))).toEqual(writeModel(model))
    expect(skipped.join('; ')).toMatch(/first: too small for the bits it may take/)
  })
})
