import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DataError, UsageError } from '../../../../src/errors.ts'
import { readModel } from '../../../../src/formats/onnx/read.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { describePack } from '../../../../src/formats/pack/describe.ts'
import { readPack } from '../../../../src/formats/pack/read.ts'
import { unpack } from '../../../../src/formats/pack/unpack.ts'
import { packOnnx, writePack } from '../../../../src/formats/pack/write.ts'
import type { ProgressEvent } from '../../../../src/progress.ts'
import { lenet300100 } from '../../../../src/zoo/lenet-300-100.ts'
import { packModels, sharedWeights } from '../../../support/pack-models.ts'
import { sharedData } from '../../../support/shared-data.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

const models = new Map([...packModels, ...tinyModels().map(({ name, model }) => [name, model] as const)])

/** The kinds and codecs of a tensor's streams. */
function streamsOf(pack: Uint8Array, tensor: string): string[] {
  return describePack(pack)
    .streams.filter((stream) => stream.tensor === tensor)
    .map(({ kind, codec }) => `${kind}: ${codec}`)
}

for (const [name, model] of models)
  describe(`the pack of ${name}`, () => {
    const onnx = writeModel(model)
    const pack = writePack(model)

    it('restores the model to the last bit, whatever the coding', () => {
      expect(Buffer.compare(writeModel(readPack(pack)), onnx)).toBe(0)
      for (const coding of ['bits', 'huffman', 'relative', 'relative-huffman', 'adaptive', 'mixing', 'predictive'])
        expect(Buffer.compare(writeModel(readPack(writePack(model, { coding }))), onnx)).toBe(0)
    })

    it('tells how far it is, up to the last byte of a tensor', () => {
      const packed: ProgressEvent[] = []
      expect(writePack(model, { progress: (event) => packed.push(event) })).toEqual(pack)
      const unpacked: ProgressEvent[] = []
      unpack(pack, { progress: (event) => unpacked.push(event) })
      for (const events of [packed, unpacked]) {
        const done = events.map((event) => event.done)
        expect(done).toEqual(done.toSorted((a, b) => a - b))
        expect(events.at(-1)?.done ?? 0).toBe(events.at(-1)?.total ?? 0)
      }
      expect(packed.at(-1)?.total ?? 0).toBe(unpacked.at(-1)!.total)
    })

    it('has parts that add up to the file, and no size that the smallest coding exceeds', () => {
      const { streams, fileBytes, modelBytes } = describePack(pack)
      expect(fileBytes).toBe(pack.length)
      expect(modelBytes).toBe(onnx.length)
      expect(streams.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(pack.length)
      for (const coding of ['bits', 'huffman'])
        expect(pack.length).toBeLessThanOrEqual(writePack(model, { coding }).length)
    })

    it('is the same each time', () => {
      expect(writePack(model)).toEqual(pack)
    })
  })

describe('the choice of kind', () => {
  const pack = writePack(packModels.get('floats')!)

  it('finds few values, zeros, order and constants', () => {
    expect(streamsOf(pack, 'few')[0]).toBe('codebook: magnitudes')
    expect(streamsOf(pack, 'few')[1]).toMatch(/^codes: /)
    expect(streamsOf(pack, 'sparse')[0]).toMatch(/^mask: /)
    expect(streamsOf(pack, 'sorted')).toEqual(['codebook: magnitudes'])
    expect(streamsOf(pack, 'dense')).toHaveLength(4)
    const bytesOf = (tensor: string) =>
      describePack(pack).streams.reduce((sum, stream) => sum + (stream.tensor === tensor ? stream.bytes : 0), 0)
    expect(bytesOf('zero')).toBe(0)
    expect(bytesOf('constant')).toBe(0)
  })

  it('keeps the cost of a network without weights under 200 bytes', () => {
    const model = lenet300100({ seed: 1 })
    const initializers = new Map(
      [...model.graph.initializers].map(([name, tensor]) => [
        name,
        { ...tensor, data: new Float32Array(tensor.data.length) },
      ]),
    )
    expect(writePack({ ...model, graph: { ...model.graph, initializers } }).length).toBeLessThan(200)
  })
})

describe('the coding that a method asks for', () => {
  it('is Huffman for codes and gaps where the metadata say so', () => {
    const pack = writePack(sharedWeights({ 'espalier.coding': 'huffman' }))
    expect(streamsOf(pack, 'fc.indices')).toEqual(['codes: relative-huffman'])
    expect(writePack(sharedWeights()).length).toBeLessThan(pack.length)
  })

  it('gives way to the option', () => {
    const pack = writePack(sharedWeights({ 'espalier.coding': 'huffman' }), { coding: 'relative' })
    expect(streamsOf(pack, 'fc.indices')).toEqual(['codes: relative'])
  })

  it('must exist', () => {
    expect(() => writePack(sharedWeights(), { coding: 'hufman' })).toThrow(UsageError)
    expect(() => writePack(sharedWeights(), { coding: 'hufman' })).toThrow("no coding called 'hufman'")
  })
})

describe('packs of ONNX bytes that writeModel would write otherwise', () => {
  it('are restored as they were', () => {
    // raw_data before dims and type, a length that does not fit them, an unknown field, packed dims.
    const tensor = [0x4a, 3, 1, 2, 3, 0x0a, 2, 2, 3, 0x10, 1, 0x42, 1, 0x77, 0x4a, 2, 9, 9, 0xfa, 0x3f, 1, 5]
    const graph = [0x2a, tensor.length, ...tensor, 0x0a, 2, 0x1a, 0]
    const onnx = Uint8Array.from([0x08, 10, 0x3a, graph.length, ...graph, 0x12, 1, 0x41])
    expect(unpack(packOnnx(onnx))).toEqual(onnx)
    expect(unpack(packOnnx(new Uint8Array(0)))).toEqual(new Uint8Array(0))
  })

  it('are refused where they are no protocol buffers', () => {
    expect(() => packOnnx(Uint8Array.of(0x3a, 200, 1))).toThrow(DataError)
    expect(() => packOnnx(Uint8Array.of(0x3f))).toThrow(DataError)
  })
})

describe('real models', () => {
  const folder = sharedData('models')
  const read = (name: string) => new Uint8Array(readFileSync(join(folder!, name)))

  it.skipIf(!folder)('a small one is restored to the last bit, from the file and from the model', () => {
    const onnx = read('mnist-8.onnx')
    expect(Buffer.compare(unpack(packOnnx(onnx)), onnx)).toBe(0)
    const model = readModel(onnx)
    expect(Buffer.compare(writeModel(readPack(writePack(model))), writeModel(model))).toBe(0)
  })

  it.skipIf(!folder)("the weights of Deep Compression's SqueezeNet take under 516,000 bytes, losslessly", () => {
    const onnx = read('squeezenet_v1.0_deepcompression_decoded.onnx')
    const pack = packOnnx(onnx)
    expect(pack.length).toBeLessThan(516_000)
    expect(Buffer.compare(unpack(pack), onnx)).toBe(0)
  })
})
