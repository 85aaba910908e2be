import { describe, expect, it } from 'vitest'
import { csc } from '../../../src/codecs/csc.ts'
import { csr } from '../../../src/codecs/csr.ts'
import { DataError } from '../../../src/errors.ts'

// [out, in] = [3, 5]
const symbols = Uint8Array.of(0, 5, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 7, 1)
const stream = { symbols, alphabet: 8, shape: [3, 5] }

/** Fields of so many bits each, as text of binary digits. */
function digits(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
}
const field = (value: number, bits: number) => value.toString(2).padStart(bits, '0')
const fields = (bits: number, ...values: number[]) => values.map((value) => field(value, bits)).join('')

describe('compressed sparse rows and columns', () => {
  it('are 2a + n + 1 numbers: starts, places and symbols', () => {
    // Five symbols other than 0; 0..5 in three bits, columns 0..4 in three, rows 0..2 in two, symbols in three.
    const rows = fields(3, 0, 2, 2, 5) + fields(3, 1, 4, 0, 3, 4) + fields(3, 5, 2, 3, 7, 1)
    expect(csr.encode(stream)[0]).toBe(5)
    expect(digits(csr.encode(stream).subarray(1))).toBe(rows.padEnd(Math.ceil(rows.length / 8) * 8, '0'))
    const columns = fields(3, 0, 1, 2, 2, 3, 5) + fields(2, 2, 0, 2, 0, 2) + fields(3, 3, 5, 7, 2, 1)
    expect(digits(csc.encode(stream).subarray(1))).toBe(columns.padEnd(Math.ceil(columns.length / 8) * 8, '0'))
  })

  it('see a tensor as the matrix of its filters, and one axis as one row', () => {
    const flat = csr.encode({ symbols, alphabet: 8, shape: [3, 5] })
    expect(csr.encode({ symbols, alphabet: 8, shape: [3, 1, 5, 1] })).toEqual(flat)
    // One row: two starts, five places of four bits, five symbols of three.
    expect(csr.encode({ symbols, alphabet: 8 }).length).toBe(1 + Math.ceil((2 * 3 + 5 * 4 + 5 * 3) / 8))
  })

  it('store a matrix of zeros in a byte', () => {
    expect([...csr.encode({ symbols: new Uint8Array(100), alphabet: 4, shape: [10, 10] })]).toEqual([0])
  })

  it('refuse lines that run backwards, places out of order and symbols that are 0', () => {
    const damaged = (...parts: string[]) => {
      const text = parts.join('')
      const bytes = [5]
      for (let i = 0; i < text.length; i += 8) bytes.push(parseInt(text.slice(i, i + 8).padEnd(8, '0'), 2))
      return () => csr.decode(Uint8Array.from(bytes), 15, 8, [3, 5])
    }
    const [starts, places, values] = [fields(3, 0, 2, 2, 5), fields(3, 1, 4, 0, 3, 4), fields(3, 5, 2, 3, 7, 1)]
    expect(damaged(starts, places, values)()).toEqual(symbols)
    expect(damaged(fields(3, 0, 3, 2, 5), places, values)).toThrow(DataError)
    expect(damaged(fields(3, 1, 2, 2, 5), places, values)).toThrow(DataError)
    expect(damaged(fields(3, 0, 2, 2, 4), places, values)).toThrow(DataError)
    expect(damaged(starts, fields(3, 4, 1, 0, 3, 4), values)).toThrow(DataError)
    expect(damaged(starts, fields(3, 1, 5, 0, 3, 4), values)).toThrow(DataError)
    expect(damaged(starts, places, fields(3, 5, 0, 3, 7, 1))).toThrow(DataError)
  })
})
