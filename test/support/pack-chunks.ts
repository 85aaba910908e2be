/** Packs that arrive in pieces, for tests. */
import type { Random } from '../../src/tensor/random.ts'

/** The bytes in chunks of up to `largest` bytes, empty ones among them, each at a later turn of the event loop. */
export async function* inChunks(bytes: Uint8Array, random: Random, largest = 64): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length;) {
    const end = start + random.integer(largest + 1)
    // A copy, so that nothing can look past its end.
    yield await Promise.resolve(bytes.slice(start, end))
    start = end
  }
}
