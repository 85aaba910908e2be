import { describe, expect, it } from 'vitest'
import { writePack } from '../../../src/formats/pack/write.ts'
import { cutChannels } from '../../../src/ir/cut.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { measureLayers, totalWork } from '../../../src/pipelines/measure-layers.ts'
import { measureSize, parameterBytes } from '../../../src/pipelines/measure.ts'
import { createTensor, elementCount, float32 } from '../../../src/tensor/tensor.ts'
import { lenet300100 } from '../../../src/zoo/lenet-300-100.ts'
import { lenet5 } from '../../../src/zoo/lenet-5.ts'

/** A layer whose 6 weights are codes of one byte for a codebook, behind a Reshape, and one that is quantized. */
function coded() {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N', 2])
  const codes = draft.constant('codes', createTensor('uint8', [6], Uint8Array.of(0, 1, 1, 0, 0, 1)))
  const book = draft.constant('book', float32(Float32Array.of(0, 1)))
  const shape = draft.constant('shape', createTensor('int64', [2], BigInt64Array.of(3n, 2n)))
  const weights = draft.add('Reshape', [draft.add('Gather', [book, draft.add('Cast', [codes], { to: 6 })]), shape])
  const first = draft.add('Gemm', [x, weights], { transB: 1 }, { name: 'first' })
  const quantized = draft.constant('quantized', createTensor('int8', [3, 2], Int8Array.of(1, -2, 3, 4, -5, 6)))
  const scale = draft.constant('scale', float32(Float32Array.of(0.5), []))
  draft.output(draft.add('MatMul', [first, draft.add('DequantizeLinear', [quantized, scale])]), 'float32', ['N', 2])
  return draft.finish()
}

describe('parameterBytes', () => {
  it('counts floats, and codes where weights are stored as these, but no shapes', () => {
    expect(parameterBytes(coded())).toBe(6 + 2 * 4 + 6 + 4)
  })

  it('is four bytes a parameter for models of plain floats', () => {
    expect(parameterBytes(lenet300100({ seed: 1 }))).toBe(1_066_440)
    expect(parameterBytes(lenet5({ seed: 1 }))).toBe(1_724_320)
  })
})

describe('measureSize', () => {
  it('measures a model of codes against what its codes take', () => {
    const model = coded()
    expect(measureSize(model, model, 48).ratios.bytes).toBe(24 / 48)
  })
})

describe('measureLayers', () => {
  it('knows the work of a model that was cut', () => {
    const draft = createDraft()
    const ones = (name: string, shape: number[]) =>
      draft.constant(name, float32(new Float32Array(elementCount(shape)).fill(1), shape))
    const x = draft.input('x', 'float32', ['N', 1, 8, 8])
    const hidden = draft.add('Conv', [x, ones('w1', [4, 1, 3, 3])], {}, { name: 'conv1' })
    const y = draft.add('Conv', [hidden, ones('w2', [2, 4, 3, 3])], {}, { name: 'conv2' })
    draft.output(y, 'float32', ['N', 2, 4, 4])
    const model = draft.finish()
    const cut = cutChannels(model, new Map([['conv1', [1, 2]]]))
    const layers = measureLayers(model, cut, writePack(cut), new Map())
    const [conv1, conv2] = layers
    expect(conv1).toMatchObject({ name: 'conv1', shape: [4, 1, 3, 3], shapeAfter: [2, 1, 3, 3] })
    expect(conv1.work).toMatchObject({ macsBefore: 1296, macsAfter: 648 })
    expect(conv2).toMatchObject({ shape: [2, 4, 3, 3], shapeAfter: [2, 2, 3, 3] })
    expect(conv2.work).toMatchObject({ macsBefore: 1152, macsAfter: 576 })
    // Words of DRAM: 36 weights, 64 inputs, 4 maps of 6 x 6; the buffer has them and 2 factors of 81 products.
    const words = 36 + 64 + 144
    expect(conv1.work!.energyPjBefore).toBeCloseTo(1296 * (4.6 + 4) + (words + 162) * 5 + words * 640, 6)
    expect(totalWork(layers)).toMatchObject({ macsBefore: 2448, macsAfter: 1224 })
    expect(measureLayers(model, model, writePack(model), new Map())[0].shapeAfter).toBeUndefined()
    expect(totalWork([conv1, { ...conv2, work: undefined }])).toBeUndefined()
  })
})
