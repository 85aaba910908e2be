import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codeLengths, codeWords, decodeCanonical, encodeCanonical } from '../../../src/codecs/canonical.ts'
import { huffman } from '../../../src/codecs/huffman.ts'
import { DataError } from '../../../src/errors.ts'

describe('canonical Huffman codes', () => {
  it('gives the textbook example its lengths and words', () => {
    // Frequencies of Cormen et al., Introduction to Algorithms, figure 16.3: a:45 b:13 c:12 d:16 e:9 f:5.
    const lengths = codeLengths(Float64Array.of(45, 13, 12, 16, 9, 5))
    expect([...lengths]).toEqual([1, 3, 3, 3, 4, 4])
    expect([...codeWords(lengths)]).toEqual([0b0, 0b100, 0b101, 0b110, 0b1110, 0b1111])
  })

  it('is complete, respects the longest word, and costs no more than any complete code of that length', () => {
    const counts = fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 2, maxLength: 40 })
    fc.assert(
      fc.property(counts, fc.integer({ min: 6, max: 12 }), (values, longest) => {
        const lengths = codeLengths(Float64Array.from(values), longest)
        const used = values.filter((count) => count > 0).length
        fc.pre(used > 1)
        expect(Math.max(...lengths)).toBeLessThanOrEqual(longest)
        expect(lengths.reduce((sum, length) => sum + (length > 0 ? 2 ** -length : 0), 0)).toBe(1)
        const cost = (some: ArrayLike<number>) => values.reduce((sum, count, i) => sum + count * some[i], 0)
        expect(cost(lengths)).toBeLessThanOrEqual(cost(values.map(() => Math.ceil(Math.log2(used)))))
      }),
    )
  })

  it('limits Fibonacci counts, whose Huffman words are as long as they can be', () => {
    const counts = new Float64Array(40)
    for (let i = 0, a = 1, b = 1; i < 40; i++, [a, b] = [b, a + b]) counts[i] = a
    expect(Math.max(...codeLengths(counts))).toBe(24)
    expect(Math.max(...codeLengths(counts, 39))).toBe(39)
  })

  it('decodes words longer than its table', () => {
    const counts = Float64Array.from({ length: 24 }, (_, i) => 2 ** i)
    const lengths = codeLengths(counts)
    const symbols = Uint8Array.from([0, 23, 1, 22, 2, 21, 0, 0, 23, 5])
    expect(decodeCanonical(encodeCanonical(symbols, lengths), symbols.length, lengths)).toEqual(symbols)
  })

  it('refuses a code that is not complete', () => {
    expect(() => decodeCanonical(Uint8Array.of(0), 4, Uint8Array.of(2, 2, 2, 0))).toThrow(DataError)
    expect(() => decodeCanonical(Uint8Array.of(0), 4, Uint8Array.of(1, 1, 1))).toThrow(DataError)
  })

  it('stores a table in about a bit a symbol when neighbours are alike', () => {
    const symbols = Uint8Array.from({ length: 6400 }, (_, i) => i % 64)
    const table = huffman.encode({ symbols, alphabet: 64 }).length - (6400 * 6) / 8
    expect(table).toBeLessThan(16)
  })
})
