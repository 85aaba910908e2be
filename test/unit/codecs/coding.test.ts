import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { adaptive } from '../../../src/codecs/adaptive.ts'
import { createByteReader, createByteWriter } from '../../../src/codecs/bytes.ts'
import { entropyBits } from '../../../src/codecs/accounting.ts'
import { crc32 } from '../../../src/codecs/crc32.ts'
import { stretchTable, squashTable } from '../../../src/codecs/logistic.ts'
import { mixing } from '../../../src/codecs/mixing.ts'
import { RangeDecoder, RangeEncoder } from '../../../src/codecs/range-coder.ts'
import { decodeText, encodeText } from '../../../src/codecs/text.ts'
import { DataError } from '../../../src/errors.ts'
import { createRandom } from '../../../src/tensor/random.ts'

describe('bytes', () => {
  it('writes varints as documented', () => {
    const writer = createByteWriter()
    for (const value of [0, 127, 128, 300, 2 ** 32, Number.MAX_SAFE_INTEGER]) writer.varint(value)
    const bytes = writer.finish()
    expect([...bytes.subarray(0, 6)]).toEqual([0, 127, 128, 1, 172, 2])
    const reader = createByteReader(bytes)
    expect([0, 1, 2, 3, 4, 5].map(() => reader.varint())).toEqual([0, 127, 128, 300, 2 ** 32, Number.MAX_SAFE_INTEGER])
    expect(() => reader.byte()).toThrow(DataError)
  })

  it('refuses varints with needless zeros, above the limit or without end', () => {
    expect(() => createByteReader(Uint8Array.of(0x80, 0)).varint()).toThrow(DataError)
    expect(() => createByteReader(Uint8Array.of(101)).varint(100)).toThrow(DataError)
    expect(() => createByteReader(new Uint8Array(20).fill(255)).varint()).toThrow(DataError)
  })
})

describe('crc32', () => {
  it('has the check value of its catalogue, also in pieces', () => {
    const digits = new TextEncoder().encode('123456789')
    expect(crc32(digits)).toBe(0xcbf43926)
    expect(crc32(digits.subarray(4), crc32(digits.subarray(0, 4)))).toBe(0xcbf43926)
  })
})

describe('the logistic tables', () => {
  it('are the functions that they are called after', () => {
    for (const i of [0, 100, 8191, 8192, 16383])
      expect(stretchTable[i]).toBeCloseTo(Math.log((i + 0.5) / (16383.5 - i)), 12)
    for (const i of [1000, 2048, 3000])
      expect(squashTable[i]).toBe(Math.floor(65536 / (1 + Math.exp(12 - ((i + 0.5) * 24) / 4096))))
  })

  it('never change: encoders and decoders of different machines must agree', () => {
    expect(crc32(new Uint8Array(squashTable.buffer))).toMatchInlineSnapshot(`2991598968`)
    expect(crc32(new Uint8Array(stretchTable.buffer))).toMatchInlineSnapshot(`1545585324`)
  })
})

describe('the range coder', () => {
  it('gives back any decisions under any probabilities', () => {
    const decision = fc.tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 0, max: 1 }))
    fc.assert(
      fc.property(fc.array(decision, { maxLength: 300 }), (decisions) => {
        const encoder = new RangeEncoder()
        for (const [zero, bit] of decisions) encoder.bit(zero, bit)
        const decoder = new RangeDecoder(encoder.finish())
        for (const [zero, bit] of decisions) expect(decoder.bit(zero)).toBe(bit)
        decoder.end()
      }),
    )
  })

  it('survives the longest carries and streams of zeros', () => {
    for (const [zero, bit] of [
      [1, 0],
      [65535, 0],
      [1, 1],
      [65535, 1],
      [32768, 1],
    ]) {
      const encoder = new RangeEncoder()
      for (let i = 0; i < 3000; i++) encoder.bit(zero, bit)
      encoder.bit(30000, 1 - bit)
      const decoder = new RangeDecoder(encoder.finish())
      for (let i = 0; i < 3000; i++) expect(decoder.bit(zero)).toBe(bit)
      expect(decoder.bit(30000)).toBe(1 - bit)
      decoder.end()
    }
  })

  it('takes the entropy and at most four bytes more', () => {
    const random = createRandom(5)
    const encoder = new RangeEncoder()
    let bits = 0
    for (let i = 0; i < 100_000; i++) {
      const zero = 1 + random.integer(65535)
      const bit = random.uniform() < zero / 65536 ? 0 : 1
      bits -= Math.log2((bit === 0 ? zero : 65536 - zero) / 65536)
      encoder.bit(zero, bit)
    }
    expect(encoder.finish().length).toBeLessThan(bits / 8 + bits / 80_000 + 4)
  })
})

describe('adaptive and mixing', () => {
  const random = createRandom(7)
  // Rows of very different density, as pruning leaves them.
  const shape = [100, 200]
  const symbols = Uint8Array.from({ length: 20_000 }, (_, i) =>
    random.uniform() < ((i % 200) % 10 === 0 ? 0.6 : 0.02) ? 1 + random.integer(15) : 0,
  )
  const entropy = entropyBits(symbols, 16) / 8

  it('adaptive stays near the entropy where neighbours say nothing', () => {
    const flat = symbols.slice()
    random.shuffle(flat)
    expect(adaptive.encode({ symbols: flat, alphabet: 16 }).length).toBeLessThan(entropy * 1.03)
  })

  it('mixing goes far below it where columns differ', () => {
    expect(mixing.encode({ symbols, alphabet: 16, shape }).length).toBeLessThan(entropy * 0.85)
  })
})

describe('text', () => {
  const names = new TextEncoder().encode(
    Array.from({ length: 60 }, (_, i) => `fire${i % 9}/squeeze1x1_w_${i}`).join('\n'),
  )

  it('learns names that repeat', () => {
    expect(encodeText(names).length).toBeLessThan(names.length / 6)
  })

  it('gains by a primer, which the decoder must have too', () => {
    const primer = names.subarray(0, 200)
    const coded = encodeText(names, primer)
    expect(coded.length).toBeLessThan(encodeText(names).length - 20)
    expect(decodeText(coded, names.length, primer)).toEqual(names)
  })
})
