import { describe, expect, it } from 'vitest'
import { fingerprint } from '../../../src/codecs/fingerprint.ts'
import { float32 } from '../../../src/tensor/tensor.ts'

describe('a fingerprint', () => {
  it('is the checksum of facts as JSON, and of the bytes of tensors behind them', () => {
    // CRC-32 of the three bytes `"a"`, and of `0` and the float32 1.0 (00 00 80 3f), by zlib.
    expect(fingerprint('a')).toBe('6d0e509e')
    expect(fingerprint(0, [float32([1], [1])])).toBe('eae6faed')
  })

  it('tells facts, values and their order apart', () => {
    const [one, two] = [float32([1], [1]), float32([2], [1])]
    const all = [
      fingerprint([1]),
      fingerprint([2]),
      fingerprint([1], [one]),
      fingerprint([1], [one, two]),
      fingerprint([1], [two, one]),
    ]
    expect(new Set(all).size).toBe(all.length)
  })
})
