import { describe, expect, it } from 'vitest'
import { fingerprint } from '../../../src/codecs/fingerprint.ts'
import { createTensor, float32 } from '../../../src/tensor/tensor.ts'

describe('a fingerprint', () => {
  it('has FNV-1a in its first half', () => {
    // Of no byte the offset basis, of 'foobar' the value in the test suite of draft-eastlake-fnv.
    expect(fingerprint([]).slice(0, 8)).toBe('811c9dc5')
    expect(fingerprint([new TextEncoder().encode('foobar')]).slice(0, 8)).toBe('bf9cf968')
  })

  it('tells texts, bytes, tensors and their order apart', () => {
    const [one, two] = [float32([1], [1]), float32([2], [1])]
    const text = createTensor('string', [1], ['a'])
    const parts = [['ab'], ['a', 'b'], ['b', 'a'], [one], [two], [one, two], [two, one], ['a', one], [text]]
    expect(new Set(parts.map(fingerprint)).size).toBe(parts.length)
  })

  it('of a tensor is that of its bytes', () => {
    expect(fingerprint([float32([1], [1])])).toBe(fingerprint([Uint8Array.of(0, 0, 0x80, 0x3f)]))
  })
})
