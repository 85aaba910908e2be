import { describe, expect, it } from 'vitest'
import { createDraft } from '../../../src/ir/draft.ts'
import { foldConstants } from '../../../src/ir/fold.ts'
import { layers } from '../../../src/ir/rewrite.ts'
import { denseLayers } from '../../../src/pipelines/dense.ts'
import { createTensor, float32 } from '../../../src/tensor/tensor.ts'

/** A plain layer, one of codes with a codebook for each channel, and one that is quantized. */
function model() {
  const draft = createDraft()
  let value = draft.input('x', 'float32', ['N', 4])
  const plain = draft.constant(
    'plain',
    float32(
      Float32Array.from({ length: 12 }, (_, i) => i - 5),
      [3, 4],
    ),
  )
  value = draft.add('Gemm', [value, plain], { transB: 1 }, { name: 'first' })
  const codes = draft.constant('codes', createTensor('uint8', [2, 3], Uint8Array.of(0, 1, 1, 0, 0, 1)))
  const offsets = draft.constant('offsets', createTensor('int32', [2, 1], Int32Array.of(0, 2)))
  const places = draft.add('Add', [draft.add('Cast', [codes], { to: 6 }), offsets])
  const book = draft.constant('book', float32(Float32Array.of(0, 1, 0, -3)))
  value = draft.add('Gemm', [value, draft.add('Gather', [book, places])], { transB: 1 }, { name: 'second' })
  const quantized = draft.constant(
    'quantized',
    createTensor(
      'int8',
      [5, 2],
      Int8Array.from({ length: 10 }, (_, i) => i),
    ),
  )
  const weight = draft.add('DequantizeLinear', [quantized, draft.constant('scale', float32(Float32Array.of(0.5), []))])
  value = draft.add('MatMul', [value, draft.add('Transpose', [weight])], {}, { name: 'third' })
  draft.output(value, 'float32', ['N', 5])
  return draft.finish()
}

describe('denseLayers', () => {
  it('computes what folding everything gives, layer by layer', () => {
    const folded = foldConstants(model(), { all: true })
    const expected = layers(folded).map(({ name, weight }) => {
      const { shape, data } = folded.graph.initializers.get(weight)!
      return { name, weight, shape, values: data }
    })
    const dense = denseLayers(model())
    const found = Array.from(dense, ({ layer: { name, weight }, shape, values }) => ({ name, weight, shape, values }))
    expect(found).toEqual(expected)
    expect(dense.layers.map(({ name }) => name)).toEqual(['first', 'second', 'third'])
    expect(dense.layers.map((layer) => dense.count(layer))).toEqual([12, 6, 10])
    expect(found[1].values).toEqual(Float32Array.of(0, 1, 1, 0, 0, -3))
  })

  it('leaves out what depends on an input', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', [2, 2])
    draft.output(draft.add('MatMul', [x, draft.add('Transpose', [x])]), 'float32', [2, 2])
    expect([...denseLayers(draft.finish())]).toEqual([])
  })
})
