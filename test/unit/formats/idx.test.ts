import { gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DataError } from '../../../src/errors.ts'
import { readIdx } from '../../../src/formats/idx.ts'

/** The bytes of an idx file. */
export function idx(shape: readonly number[], data: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length)
  bytes.set([0, 0, 8, shape.length])
  shape.forEach((size, axis) => new DataView(bytes.buffer).setUint32(4 + 4 * axis, size))
  bytes.set(Array.from(data), 4 + 4 * shape.length)
  return bytes
}

const shapes = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 3 })

describe('readIdx', () => {
  it('reads what was written, plain or compressed', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.boolean(), async (shape, compressed) => {
        const count = shape.reduce((product, size) => product * size, 1)
        const data = Uint8Array.from({ length: count }, (_, i) => (i * 37) & 255)
        const bytes = idx(shape, data)
        const read = await readIdx(compressed ? gzipSync(bytes) : bytes, 'x')
        expect(read.shape).toEqual(shape)
        expect(read.data).toEqual(data)
      }),
      { numRuns: 40 },
    )
  })

  it('refuses every truncation, and names the record', async () => {
    const bytes = idx([3, 2, 2], Array(12).fill(1))
    for (let length = 0; length < bytes.length; length++)
      await expect(readIdx(bytes.subarray(0, length), 'x'), `${length} bytes`).rejects.toThrow(DataError)
    await expect(readIdx(bytes.subarray(0, bytes.length - 5), 'images')).rejects.toThrow(/record 1 of 3/)
    const packed = gzipSync(bytes)
    for (let length = 0; length < packed.length; length++)
      await expect(readIdx(packed.subarray(0, length), 'x'), `${length} packed`).rejects.toThrow(DataError)
  })

  it('refuses a longer file, other types, other files and a size beyond the bytes', async () => {
    const bytes = idx([1], [1])
    await expect(readIdx(Uint8Array.from([...bytes, 0]), 'x')).rejects.toThrow(/after its last record/)
    await expect(readIdx(Uint8Array.from([0, 0, 13, 1, 0, 0, 0, 0]), 'x')).rejects.toThrow(/type 0x0d/)
    await expect(readIdx(new TextEncoder().encode('<!DOCTYPE html>'), 'x')).rejects.toThrow(/does not begin/)
    await expect(readIdx(idx([0xffffffff, 0xffff], []), 'x')).rejects.toThrow(/declares/)
    await expect(readIdx(gzipSync(idx([0xffffffff], [])), 'x')).rejects.toThrow(/declares/)
  })

  it('does not expand a gzip bomb', async () => {
    const bomb = gzipSync(idx([16], new Uint8Array(1 << 22)))
    await expect(readIdx(bomb, 'x')).rejects.toThrow(/after its last record/)
  })

  it('survives flipped bits with a DataError or an array', async () => {
    const bytes = gzipSync(idx([4, 3], Array(12).fill(7)))
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = Uint8Array.from(bytes)
        damaged[at] ^= flip
        const result = await readIdx(damaged, 'x').catch((error: unknown) => error)
        if (result instanceof Error) expect(result).toBeInstanceOf(DataError)
      }),
    )
  })
})
