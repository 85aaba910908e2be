import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../src/ir/draft.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { layers, type Layer } from '../../../../src/ir/rewrite.ts'
import { verify } from '../../../../src/ir/verify.ts'
import {
  biasCodes,
  dequantize,
  withIntegerBias,
  withIntegerCodes,
} from '../../../../src/methods/quantization/integer-codes.ts'
import { ownBiases } from '../../../../src/methods/layer-biases.ts'
import { isPlainFloat, withInitializers } from '../../../../src/methods/weights.ts'
import type { DType } from '../../../../src/tensor/dtype.ts'
import { fromFloat32, toFloat32 } from '../../../../src/tensor/half.ts'
import { elementCount, float32 } from '../../../../src/tensor/tensor.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

type Operator = 'Conv' | 'ConvTranspose' | 'Gemm' | 'MatMul'

const inputShapes = { Conv: [1, 3, 4, 4], ConvTranspose: [1, 3, 4, 4], Gemm: [2, 3], MatMul: [2, 3] }
const weightShapes = { Conv: [2, 3, 2, 2], ConvTranspose: [3, 2, 2, 2], Gemm: [2, 3], MatMul: [3, 2] }
const outAxes = { Conv: 0, ConvTranspose: 1, Gemm: 0, MatMul: 1 }

function oneLayer(op: Operator, dtype: DType): Model {
  const draft = createDraft()
  const x = draft.input('x', dtype, inputShapes[op])
  const count = elementCount(weightShapes[op])
  const weight = fromFloat32(
    dtype,
    weightShapes[op],
    Float32Array.from({ length: count }, (_, i) => i / 8 - 1),
  )
  const bias = draft.constant('b', fromFloat32(dtype, [2], Float32Array.of(0.5, -0.25)))
  const inputs = [x, draft.constant('w', weight)]
  const product = draft.add(op, op === 'MatMul' ? inputs : [...inputs, bias], op === 'Gemm' ? { transB: 1 } : {})
  draft.output(op === 'MatMul' ? draft.add('Add', [product, bias]) : product, dtype)
  return draft.finish()
}

async function run(model: Model): Promise<Float32Array> {
  const { name, type } = model.graph.inputs[0]
  const shape = type!.shape as number[]
  const x = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i))
  const session = await onnxruntime.createSession(model)
  try {
    return toFloat32(Object.values(await session.run({ [name]: fromFloat32(type!.dtype, shape, x) }))[0])
  } finally {
    await session.close()
  }
}

/** The model with the layer's weight, as the engine computes it, for an output. */
function withOutput(model: Model, { node, input }: Layer): Model {
  const draft = createDraft(model)
  draft.outputs.splice(0, 1, { name: node.inputs[input] })
  return draft.finish()
}

/** Engines add up half floats in different orders, and in between in float32 or not. */
function close(actual: Float32Array, expected: Float32Array, dtype: DType): void {
  expect(actual).toHaveLength(expected.length)
  const largest = Math.max(...expected.map(Math.abs))
  const tolerance = (dtype === 'float16' ? 2e-3 : 1e-6) * largest
  for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i])).toBeLessThanOrEqual(tolerance)
}

describe.each(['Conv', 'ConvTranspose', 'Gemm', 'MatMul'] as const)('integer codes of %s', (op) => {
  it.each([
    ['float32', 'tensor', 1],
    ['float32', 'channel', 100],
    ['float16', 'tensor', 1],
    ['float16', 'channel', 1],
    ...(op === 'MatMul' || op === 'Gemm' ? ([['float64', 'tensor', 1]] as const) : []),
  ] as const)('%s, a scale a %s, codes times %i', async (dtype, granularity, factor) => {
    const model = oneLayer(op, dtype)
    const [layer] = layers(model)
    const shape = weightShapes[op]
    const codes = Int16Array.from({ length: elementCount(shape) }, (_, i) => (i - 5) * factor)
    const axis = granularity === 'channel' ? outAxes[op] : undefined
    const scale = axis === undefined ? Float32Array.of(0.125) : Float32Array.of(0.125, 0.5)
    const coded = withIntegerCodes(model, [{ layer, codes, scale, axis }])
    expect(verify(coded)).toEqual([])
    expect(coded.graph.initializers.get('w.codes')?.dtype).toBe(factor > 1 || op === 'MatMul' ? 'int16' : 'int8')
    expect(coded.graph.initializers.has('w')).toBe(false)
    const [after] = layers(coded)
    expect(after).toMatchObject({ weight: 'w.codes', bias: 'b', outAxis: layer.outAxis, inAxis: layer.inAxis })
    expect(isPlainFloat(coded, after)).toBe(false)
    const values = fromFloat32(dtype, shape, dequantize({ codes, scale, axis }, shape))
    expect(await run(withOutput(coded, after))).toEqual(toFloat32(values))
    const initializers = new Map(model.graph.initializers).set('w', values)
    close(await run(coded), await run({ ...model, graph: { ...model.graph, initializers } }), dtype)
  })

  it('codes the bias as well', async () => {
    const model = oneLayer(op, 'float16')
    expect([...ownBiases(model).keys()]).toEqual(['b'])
    const coded = withIntegerBias(model, [{ bias: 'b', codes: Int8Array.of(2, -1), scale: Float32Array.of(0.25) }])
    expect(verify(coded)).toEqual([])
    expect(layers(coded)[0]).toMatchObject({ weight: 'w', bias: 'b.codes' })
    close(await run(coded), await run(model), 'float16')
  })
})

describe('biases that are left alone', () => {
  it('are shared between layers, fed or computed', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 2])
    const w = draft.constant('w', float32([1, 2, 3, 4], [2, 2]))
    const shared = draft.constant('shared', float32([1, 2]))
    const fed = draft.constant('fed', float32([1, 2]))
    draft.inputs.push({ name: fed, type: { dtype: 'float32', shape: [2] } })
    const a = draft.add('Gemm', [x, w, shared])
    const b = draft.add('Gemm', [a, w, shared])
    const c = draft.add('Gemm', [b, w, fed])
    draft.output(draft.add('Gemm', [c, w, draft.add('Neg', [draft.constant('negated', float32([1, 2]))])]), 'float32')
    expect([...ownBiases(draft.finish()).keys()]).toEqual([])
  })
})

it('leaves biases as they are whose codes would stand for more than their type has', () => {
  const model = oneLayer('Gemm', 'float32')
  const withBias = (largest: number) => withInitializers(model, new Map([['b', float32([largest, -1])]]))
  for (const bits of [2, 8]) {
    expect(biasCodes(withBias(1e30), bits)).toHaveLength(1)
    expect(biasCodes(withBias(3.4e38), bits)).toEqual([])
  }
})

it('leaves a model without items as it is', () => {
  const [{ model }] = tinyModels()
  expect(withIntegerCodes(model, [])).toBe(model)
})
