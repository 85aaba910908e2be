import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { energyOf, layerEnergy } from '../../../src/hardware/energy.ts'
import { cmos45 } from '../../../src/hardware/energy-table.ts'
import { layerWork, type LayerWork } from '../../../src/hardware/layer-work.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { createTensor, float32, scalar, zeros } from '../../../src/tensor/tensor.ts'

/** A dense layer of 8 inputs and 4 outputs. */
const dense: LayerWork = {
  macs: 32,
  weights: 32,
  inputs: 8,
  outputs: 4,
  weightBits: 32,
  factorBits: 32,
  inputBits: 32,
  outputBits: 32,
  integer: false,
}

describe('layerEnergy', () => {
  it('adds up products, sums and accesses of a dense layer of floats', () => {
    const energy = layerEnergy(dense, 1)
    expect(energy.computePj).toBeCloseTo(32 * (3.7 + 0.9), 9)
    expect(energy.registerPj).toBeCloseTo(32 * 4 * 1, 9)
    // 32 weights, 8 inputs, 4 outputs; and 2 factors of 2 products of 16 that share them.
    expect(energy.bufferPj).toBeCloseTo((44 + 4) * 5, 9)
    expect(energy.dramPj).toBeCloseTo(44 * 640, 9)
    expect(energy.energyPj).toBeCloseTo(147.2 + 128 + 240 + 28_160, 9)
  })

  it('neither moves nor multiplies zeros, but a mask of one bit a weight', () => {
    const energy = layerEnergy(dense, 0.25)
    // 8 weights and 32 bits of mask are 9 words.
    expect(energy.energyPj).toBeCloseTo(8 * 4.6 + 8 * 4 + (21 + 1) * 5 + 21 * 640, 9)
    // Where the mask would take more than the zeros, there is none.
    expect(layerEnergy(dense, 0.99).dramPj).toBe(layerEnergy(dense, 1).dramPj)
  })

  it('knows integers of few bits', () => {
    const energy = layerEnergy({ ...dense, weightBits: 8, factorBits: 8, inputBits: 8, integer: true }, 1)
    expect(energy.computePj).toBeCloseTo(32 * (3.1 / 16 + 0.1), 9)
    expect(energy.registerPj).toBeCloseTo(32 * 2.5, 9)
    expect(energy.dramPj).toBeCloseTo((8 + 2 + 4) * 640, 9)
    expect(energy.bufferPj).toBeCloseTo((14 + 1) * 5, 9)
  })

  it('takes another table and another array', () => {
    const table = { ...cmos45, dram: 0, sram: 10 }
    expect(layerEnergy(dense, 1, { table, reuse: 32 })).toMatchObject({ dramPj: 0, bufferPj: (44 + 2) * 10 })
  })

  it('never grows when weights, bits or work become less', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(share, share, fc.constantFrom(4, 8, 16), (a, b, bits) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)]
        expect(layerEnergy(dense, low).energyPj).toBeLessThanOrEqual(layerEnergy(dense, high).energyPj)
        const narrow = { ...dense, weightBits: bits, factorBits: bits }
        expect(layerEnergy(narrow, high).energyPj).toBeLessThanOrEqual(layerEnergy(dense, high).energyPj)
      }),
    )
  })
})

describe('layerWork', () => {
  it('reads shapes off the graph, for one example', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', 3, 10, 10])
    const weight = draft.constant('w', zeros('float32', [6, 3, 3, 3]))
    draft.output(draft.add('Conv', [x, weight], { strides: [2, 2] }, { name: 'conv' }), 'float32', ['N', 6, 4, 4])
    const model = draft.finish()
    expect(layerWork(model).get('conv')).toEqual({
      ...dense,
      macs: 6 * 16 * 27,
      weights: 162,
      inputs: 300,
      outputs: 96,
    })
    const [half] = energyOf(model, () => 0.5).values()
    const [full] = energyOf(model).values()
    expect(half.computePj).toBeCloseTo(full.computePj / 2, 6)
  })

  it('tells codes that are numbers from codes that are places in a codebook', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', 2])
    const scale = draft.constant('scale', scalar('float32', 0.5))
    const zero = draft.constant('zero', createTensor('int8', [], new Int8Array(1)))
    const quantize = (value: string) =>
      draft.add('DequantizeLinear', [draft.add('QuantizeLinear', [value, scale, zero]), scale, zero])
    const codes = draft.constant('codes', createTensor('int8', [2, 3], new Int8Array(6)))
    const numbers = draft.add('DequantizeLinear', [codes, scale, zero])
    const first = draft.add('MatMul', [quantize(x), numbers], {}, { name: 'first' })
    const book = draft.constant('book', float32(Float32Array.of(0, 1)))
    const places = draft.constant('places', createTensor('uint8', [3, 2], new Uint8Array(6)))
    const shared = draft.add('Gather', [book, draft.add('Cast', [places], { to: 6 })])
    draft.output(draft.add('MatMul', [quantize(first), shared], {}, { name: 'second' }), 'float32', ['N', 2])
    const work = layerWork(draft.finish())
    const eight = { weightBits: 8, inputBits: 8 }
    expect(work.get('first')).toMatchObject({ ...eight, factorBits: 8, outputBits: 8, integer: true, macs: 6 })
    expect(work.get('second')).toMatchObject({ ...eight, factorBits: 32, outputBits: 32, integer: false, macs: 6 })
  })

  it('leaves out layers whose shapes cannot be told', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', 3, 'height', 10])
    const weight = draft.constant('w', zeros('float32', [6, 3, 3, 3]))
    draft.output(draft.add('Conv', [x, weight], {}, { name: 'conv' }), 'float32')
    expect(layerWork(draft.finish()).size).toBe(0)
  })
})
