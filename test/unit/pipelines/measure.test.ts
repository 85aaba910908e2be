import { describe, expect, it } from 'vitest'
import { createDraft } from '../../../src/ir/draft.ts'
import { measureSize, parameterBytes } from '../../../src/pipelines/measure.ts'
import { createTensor, float32 } from '../../../src/tensor/tensor.ts'
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
