import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BitReader, createBitWriter } from '../../../src/codecs/bit-io.ts'
import { expGolomb } from '../../../src/codecs/exp-golomb.ts'
import { DataError } from '../../../src/errors.ts'

describe('bits', () => {
  it('come back in any widths up to 32', () => {
    const numbers = fc.integer({ min: 0, max: 32 }).chain((width) => fc.tuple(fc.constant(width), fc.nat(2 ** 32 - 1)))
    fc.assert(
      fc.property(fc.array(numbers), (list) => {
        const values = list.map(([width, value]) => (width === 0 ? 0 : value >>> (32 - width)))
        const writer = createBitWriter()
        for (const [i, [width]] of list.entries()) writer.bits(values[i], width)
        const reader = new BitReader(writer.finish(), 'test')
        expect(list.map(([width]) => reader.bits(width))).toEqual(values)
        reader.end()
      }),
    )
  })
})

describe('exp-golomb', () => {
  it('has the words of the literature: 1, 010, 011, 00100 in order 0', () => {
    const symbols = Uint8Array.of(0, 0, 0, 0, 0, 1, 2, 3)
    // The order 0, then 11111 010 011 00100.
    expect([...expGolomb.encode({ symbols, alphabet: 4 })]).toEqual([0, 0b11111010, 0b01100100])
  })

  it('chooses the order that makes the shortest stream', () => {
    const flat = Uint8Array.from({ length: 250 }, (_, i) => i % 10)
    // Bits of 0 to 9: 4 + 16 + 24 in order 1, 12 + 30 in order 2, 32 + 12 in order 3.
    expect(expGolomb.encode({ symbols: flat, alphabet: 16 })[0]).toBe(2)
    expect(expGolomb.encode({ symbols: flat.fill(15), alphabet: 16 })[0]).toBe(4)
    expect(expGolomb.encode({ symbols: flat.fill(0), alphabet: 16 })[0]).toBe(0)
  })

  it('refuses orders and words that are too large', () => {
    expect(() => expGolomb.decode(Uint8Array.of(17, 255, 255, 255), 1, 65536)).toThrow(DataError)
    expect(() => expGolomb.decode(Uint8Array.of(0, 0, 0, 0, 255, 255, 255, 255), 1, 65536)).toThrow(DataError)
    expect(() => expGolomb.decode(Uint8Array.of(0, 255), 1e12, 4)).toThrow(DataError)
  })
})
