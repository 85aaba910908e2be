import { describe, expect, it } from 'vitest'
import { entropyBits, storageWithIndices } from '../../../src/codecs/accounting.ts'
import { fromRelativeIndex, relative, relativeIndex } from '../../../src/codecs/relative.ts'
import { DataError } from '../../../src/errors.ts'

describe('the relative index', () => {
  // Figure 2 of Deep Compression: weights at 1, 4 and 15, three bits of difference, a filler after eight.
  const symbols = new Uint8Array(16)
  symbols[1] = 34
  symbols[4] = 9
  symbols[15] = 17

  it('bridges the long run of the figure in the paper with one filler', () => {
    const index = relativeIndex(symbols, 64, 3)
    expect([...index.gaps]).toEqual([1, 2, 7, 2])
    expect([...index.codes]).toEqual([34, 9, 0, 17])
    expect(index.fillers).toBe(1)
    expect(fromRelativeIndex(index.gaps, index.codes, 16, 64)).toEqual(symbols)
  })

  it('needs a filler from 2^bits zeros on', () => {
    const with7 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1)
    const with8 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1)
    expect(relativeIndex(with7, 2, 3).fillers).toBe(0)
    expect(relativeIndex(with8, 2, 3).fillers).toBe(1)
  })

  it('chooses the cheapest gap', () => {
    const sparse = new Uint8Array(4096)
    for (let i = 15; i < 4096; i += 16) sparse[i] = 1
    // 256 entries of four bits and one of the code, after the width and the number of entries.
    expect(relative.encode({ symbols: sparse, alphabet: 2 }).length).toBe(1 + 2 + (256 * 5) / 8)
  })

  it('refuses entries past the end', () => {
    expect(() => fromRelativeIndex(Uint8Array.of(3, 1), Uint8Array.of(1, 1), 5, 2)).toThrow(DataError)
  })
})

describe('accounting', () => {
  it('counts as section 3 of Deep Compression does', () => {
    const weights = new Float32Array(16)
    weights[1] = 3.4
    weights[4] = 0.9
    weights[15] = -1.7
    // Three survivors and a filler, each 32 bits and an index of 3.
    expect(storageWithIndices(weights, { bits: 32, indexBits: 3 })).toEqual({ survivors: 3, fillers: 1, bytes: 18 })
    // Shared: codes of two bits, and four numbers of 32 bits.
    expect(storageWithIndices(weights, { bits: 2, indexBits: 3, codebook: 4 }).bytes).toBe(Math.ceil((20 + 128) / 8))
  })

  it('asks no index of a tensor without zeros', () => {
    expect(storageWithIndices([1, 2, 3, 4], { bits: 4, indexBits: 5, codebook: 2, codebookBits: 16 })).toEqual({
      survivors: 4,
      fillers: 0,
      bytes: 6,
    })
  })

  it('measures entropy', () => {
    expect(entropyBits(Uint8Array.of(0, 1, 2, 3), 4)).toBe(8)
    expect(entropyBits(Uint8Array.of(1, 1, 1), 2)).toBe(0)
    expect(entropyBits(new Uint8Array(0), 2)).toBe(0)
    expect(entropyBits(Uint8Array.of(0, 0, 0, 1), 2)).toBeCloseTo(4 * 0.811278, 5)
  })
})
