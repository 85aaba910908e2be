import { open, stat } from 'node:fs/promises'
import { DataError } from '../errors.ts'

/** Bytes that are read where they are needed: a file, a part of one, or memory. */
export interface ByteSource {
  /** What to call it in messages. */
  readonly place: string
  readonly length: number
  /** The bytes at each of `offsets`, `length` of them. @throws DataError when they lie beyond the end. */
  read(offsets: readonly number[], length: number): Promise<Uint8Array[]>
}

/** A file, open only while it is read. */
export async function fileSource(path: string): Promise<ByteSource> {
  const facts = { place: path, length: (await stat(path)).size }
  return {
    ...facts,
    async read(offsets, length) {
      checkRange(facts, offsets, length)
      const file = await open(path)
      try {
        const result: Uint8Array[] = []
        for (const offset of offsets) {
          const bytes = new Uint8Array(length)
          let filled = 0
          while (filled < length) {
            const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled)
            if (bytesRead === 0)
              throw new DataError('file-shrunk', 'the file became shorter while it was used', { place: path })
            filled += bytesRead
          }
          result.push(bytes)
        }
        return result
      } finally {
        await file.close()
      }
    },
  }
}

/** Bytes in memory; what is read are views. */
export function memorySource(bytes: Uint8Array, place: string): ByteSource {
  const facts = { place, length: bytes.length }
  return {
    ...facts,
    async read(offsets, length) {
      checkRange(facts, offsets, length)
      return offsets.map((offset) => bytes.subarray(offset, offset + length))
    },
  }
}

/** A part of a source, from `start` on. */
export function sourcePart(source: ByteSource, start: number, length: number, place: string): ByteSource {
  const facts = { place, length }
  return {
    ...facts,
    async read(offsets, count) {
      checkRange(facts, offsets, count)
      return source.read(
        offsets.map((offset) => offset + start),
        count,
      )
    },
  }
}

function checkRange(source: Omit<ByteSource, 'read'>, offsets: readonly number[], length: number): void {
  for (const offset of offsets)
    if (offset < 0 || offset + length > source.length)
      throw new DataError('file-truncated', `it ends at byte ${source.length}, before byte ${offset + length}`, {
        place: source.place,
        hint: 'Fetch the file again.',
      })
}
