import { describe, expect, it } from 'vitest'
import { entropyBits } from '../../../src/codecs/accounting.ts'
import { adaptive } from '../../../src/codecs/adaptive.ts'
import { ReadingAns, WritingAns } from '../../../src/codecs/ans-coder.ts'
import { Frequencies } from '../../../src/codecs/frequencies.ts'
import { huffman } from '../../../src/codecs/huffman.ts'
import { rans } from '../../../src/codecs/rans.ts'
import { DataError } from '../../../src/errors.ts'
import { createRandom } from '../../../src/tensor/random.ts'

describe('the coder of asymmetric numeral systems', () => {
  it('gives back decisions of any probability and takes little more than their entropy', () => {
    const random = createRandom(2)
    const events = Array.from({ length: 50_000 }, () => {
      const one = 1 + random.integer(8191)
      return { one, bit: random.uniform() < one / 8192 ? 1 : 0 }
    })
    const writer = new WritingAns()
    let bits = 0
    for (const { one, bit } of events) {
      writer.decide(one, bit)
      bits -= Math.log2((bit === 1 ? one : 8192 - one) / 8192)
    }
    const bytes = writer.finish()
    expect(bytes.length * 8).toBeGreaterThanOrEqual(bits)
    expect(bytes.length * 8).toBeLessThan(bits * 1.002 + 32)
    const reader = new ReadingAns(bytes, events.length)
    expect(events.map(({ one }) => reader.decide(one, 0))).toEqual(events.map(({ bit }) => bit))
    reader.end()
  })

  it('refuses what cannot hold so many symbols before there is memory for them', () => {
    expect(() => new ReadingAns(Uint8Array.of(0, 0, 1, 0), 1e9)).toThrow(DataError)
    expect(() => rans.decode(Uint8Array.of(0, 0, 0, 1, 0), 1e12, 16)).toThrow(DataError)
  })

  it('refuses states out of range, odd lengths and unknown forms', () => {
    expect(() => new ReadingAns(Uint8Array.of(255, 127, 0, 0), 1)).toThrow(DataError)
    expect(() => new ReadingAns(Uint8Array.of(0, 0, 0, 128), 1)).toThrow(DataError)
    expect(() => new ReadingAns(Uint8Array.of(0, 0, 1, 0, 0), 1)).toThrow(DataError)
    expect(() => rans.decode(Uint8Array.of(2, 0, 0, 1, 0), 1, 16)).toThrow(DataError)
    expect(() => rans.decode(Uint8Array.of(1, 0, 0, 1, 0), 1, 2)).toThrow(DataError)
  })
})

describe('learned frequencies', () => {
  it('fill the scale, leave every symbol a slot, and follow what came', () => {
    const frequencies = new Frequencies(256, 1)
    for (let i = 0; i < 5000; i++) frequencies.learn(i % 10 === 0 ? 255 : 7)
    const { starts, cells } = frequencies.table
    expect(starts[1]).toBe(0)
    expect(starts[256]).toBe(32768)
    for (let i = 1; i < 256; i++) expect(starts[i + 1]).toBeGreaterThan(starts[i])
    expect((starts[8] - starts[7]) / 32768).toBeGreaterThan(0.85)
    for (let slot = 0; slot < 32768; slot += 64) {
      const symbol = cells[slot >> 6]
      expect(starts[symbol]).toBeLessThanOrEqual(slot)
      expect(starts[symbol + 1]).toBeGreaterThan(slot)
    }
  })

  it('expect neighbours of what came before symbols far away', () => {
    const frequencies = new Frequencies(200, 0)
    for (let i = 0; i < 40; i++) frequencies.learn(i % 2 === 0 ? 99 : 101)
    const { starts } = frequencies.table
    expect(starts[101] - starts[100]).toBeGreaterThan(4 * (starts[21] - starts[20]))
  })
})

describe('rans', () => {
  const random = createRandom(11)
  const bell = Uint8Array.from({ length: 60_000 }, () =>
    Math.max(0, Math.min(31, Math.round(16 + 5 * random.normal()))),
  )
  const sparse = bell.map((symbol) => (random.uniform() < 0.7 ? 0 : symbol))

  it('stays within one percent of the entropy where there is nothing to know, and below Huffman', () => {
    for (const symbols of [bell, sparse]) {
      const { length } = rans.encode({ symbols, alphabet: 32, shape: [60, 1000] })
      expect(length).toBeLessThan((entropyBits(symbols, 32) / 8) * 1.01)
      expect(length).toBeLessThan(huffman.encode({ symbols, alphabet: 32 }).length)
      expect(length).toBeLessThan(adaptive.encode({ symbols, alphabet: 32, shape: [60, 1000] }).length)
    }
  })

  it('goes below the entropy where neighbours are alike', () => {
    const shape = [50, 40, 3, 3]
    const symbols = new Uint8Array(18_000)
    for (let i = 0; i < symbols.length; i++) {
      // Whole windows are zero or not, and magnitudes come in runs.
      const window = Math.floor(i / 9)
      symbols[i] = (window * 7919) % 13 < 8 ? 0 : 1 + random.integer(Math.floor(window / 40) % 2 === 0 ? 4 : 60)
    }
    const { length } = rans.encode({ symbols, alphabet: 61, shape })
    expect(length).toBeLessThan((entropyBits(symbols, 61) / 8) * 0.8)
  })

  it('gives 0 no decision of its own where that is smaller', () => {
    expect(rans.encode({ symbols: bell, alphabet: 32 })[0]).toBe(1)
    expect(rans.encode({ symbols: sparse, alphabet: 32 })[0]).toBe(0)
  })
})
