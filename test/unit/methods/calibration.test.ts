import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft, type AttributeValue } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { layers } from '../../../src/ir/rewrite.ts'
import { outputSensitivity } from '../../../src/methods/calibration-sensitivity.ts'
import { inputMoments } from '../../../src/methods/calibration.ts'
import { weightRows } from '../../../src/methods/weight-rows.ts'
import type { DType } from '../../../src/tensor/dtype.ts'
import { fromFloat32, toFloat32 } from '../../../src/tensor/half.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { createTensor, elementCount } from '../../../src/tensor/tensor.ts'

function examples(inputShape: readonly number[], values: Float32Array): Dataset {
  const size = elementCount(inputShape)
  return {
    name: 'examples',
    size: values.length / size,
    inputShape,
    classes: 2,
    async batch(indices) {
      const rows = Array.from(indices, (i) => [...values.subarray(i * size, (i + 1) * size)])
      const inputs = createTensor('float32', [rows.length, ...inputShape], Float32Array.from(rows.flat()))
      return { inputs, labels: new Int32Array(rows.length) }
    },
  }
}

interface OneLayer {
  readonly op: string
  readonly input: readonly number[]
  readonly weight: readonly number[]
  readonly attributes?: Record<string, AttributeValue>
  readonly dtype?: DType
}

function oneLayer({ op, input, weight, attributes = {}, dtype = 'float32' }: OneLayer): Model {
  const draft = createDraft()
  const random = createRandom(4)
  const x = draft.input('x', dtype, ['n', ...input])
  const values = Float32Array.from({ length: elementCount(weight) }, () => random.normal())
  draft.output(draft.add(op, [x, draft.constant('w', fromFloat32(dtype, weight, values))], attributes), dtype)
  return draft.finish()
}

const noise = (count: number) => {
  const random = createRandom(8)
  return Float32Array.from({ length: count }, () => 1 + random.normal())
}

const momentsOf = async (model: Model, data: Dataset) =>
  (await inputMoments(model, layers(model), data, 100, { engine: onnxruntime })).get('w')!

describe('moments of the inputs of layers', () => {
  it('equal those worked out by hand for a matrix', async () => {
    const model = oneLayer({ op: 'MatMul', input: [2], weight: [2, 3] })
    // 16 examples, two batches: (1, 2) eight times and (3, -1) eight times.
    const data = examples(
      [2],
      Float32Array.from({ length: 32 }, (_, i) => (i < 16 ? [1, 2] : [3, -1])[i % 2]),
    )
    const moments = await momentsOf(model, data)
    expect([...moments.mean]).toEqual([2, 0.5])
    expect([...moments.gram]).toEqual([5, -0.5, -0.5, 2.5])
  })

  it('begin anew where examples do not fill the last batch', async () => {
    const model = oneLayer({ op: 'MatMul', input: [1], weight: [1, 2] })
    const moments = await momentsOf(model, examples([1], Float32Array.of(1, 2, 3, 4)))
    expect(moments.mean[0]).toBe(2.5)
  })

  it.each([
    ['Conv', { op: 'Conv', input: [2, 4, 4], weight: [3, 2, 3, 3], attributes: { pads: [1, 1, 1, 1] } }],
    ['strided Conv', { op: 'Conv', input: [2, 5, 5], weight: [3, 2, 3, 3], attributes: { strides: [2, 2] } }],
    ['grouped Conv', { op: 'Conv', input: [4, 4, 4], weight: [6, 2, 2, 2], attributes: { group: 2 } }],
    ['depthwise Conv', { op: 'Conv', input: [3, 4, 4], weight: [3, 1, 3, 3], attributes: { group: 3 } }],
    ['half Conv', { op: 'Conv', input: [2, 4, 4], weight: [3, 2, 2, 2], dtype: 'float16' }],
    ['Gemm', { op: 'Gemm', input: [6], weight: [3, 6], attributes: { transB: 1 } }],
    ['Gemm as it is', { op: 'Gemm', input: [6], weight: [6, 3] }],
    ['1x1 ConvTranspose', { op: 'ConvTranspose', input: [4, 3, 3], weight: [4, 3, 1, 1] }],
    [
      'grouped ConvTranspose',
      {
        op: 'ConvTranspose',
        input: [4, 3, 3],
        weight: [4, 3, 1, 1],
        attributes: { group: 2 },
      },
    ],
  ] as const)('give the mean square of what %s puts out', async (_, layer: OneLayer) => {
    const model = oneLayer(layer)
    const data = examples(layer.input, noise(16 * elementCount(layer.input)))
    const moments = await momentsOf(model, data)
    const [one] = layers(model)
    const rows = weightRows(model, one)!
    const weights = toFloat32(model.graph.initializers.get('w')!)
    const session = await onnxruntime.createSession(model)
    const { inputs } = await data.batch(Array.from({ length: 16 }, (__, i) => i))
    const fed = fromFloat32(layer.dtype ?? 'float32', inputs.shape, inputs.data)
    const output = Object.values(await session.run({ x: fed }))[0]
    await session.close()
    const values = toFloat32(output)
    const measured = values.reduce((sum, value) => sum + value * value, 0) / (values.length / rows.count)
    let expected = 0
    for (let r = 0; r < rows.count; r++) {
      const group = Math.floor(r / (rows.count / rows.groups))
      const at = (k: number) => weights[rows.base[r] + k * rows.stride]
      for (let i = 0; i < rows.length; i++)
        for (let j = 0; j < rows.length; j++)
          expected += at(i) * at(j) * moments.gram[(group * rows.length + i) * rows.length + j]
    }
    expect(Math.abs(expected / measured - 1)).toBeLessThan(layer.dtype === 'float16' ? 5e-3 : 1e-4)
  })
})

describe('the sensitivity of outputs', () => {
  it('is half the Fisher information: p (1 - p) / 2 for each of two logits', async () => {
    const model = oneLayer({ op: 'MatMul', input: [2], weight: [2, 2] })
    const initializers = new Map(model.graph.initializers).set(
      'w',
      createTensor('float32', [2, 2], Float32Array.of(1, 0, 0, 1)),
    )
    const logits = [0, Math.log(3)]
    const data = examples(
      [2],
      Float32Array.from({ length: 8000 }, (_, i) => logits[i % 2]),
    )
    const found = await outputSensitivity(
      { ...model, graph: { ...model.graph, initializers } },
      layers(model),
      data,
      4000,
      { engine: onnxruntime, seed: 1 },
    )
    // Over the draws the square of (1 or 0) - p has the mean p (1 - p).
    for (const value of found.get('w')!) expect(Math.abs(value / (0.5 * 0.25 * 0.75) - 1)).toBeLessThan(0.1)
  })
})
