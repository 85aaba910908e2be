/** Bytes that arrive in chunks, as the body of a response or a file that is read. */
import { crc32 } from '../../codecs/crc32.ts'
import { DataError, UsageError } from '../../errors.ts'

/** Where a pack comes from: its bytes, the body of a response, a file stream, or any other sequence of chunks. */
export type ByteSource = Uint8Array | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** Hands out bytes in the sizes that its reader asks for. Holds what has arrived and was not taken yet. */
export interface ChunkReader {
  /** Bytes that have arrived. */
  readonly received: number
  /** The CRC-32 of what was taken. */
  readonly sum: number
  /** The next `count` bytes, or all that are left where these are fewer; they are not taken. */
  peek(count: number): Promise<Uint8Array>
  /** The next `count` bytes. @throws DataError when the source ends before. */
  take(count: number): Promise<Uint8Array>
  /** Ends the source early; it is not waited for. */
  close(): void
}

/** @throws The reason of the signal, from whatever is waited for when it is aborted. */
export function createChunkReader(source: ByteSource, signal?: AbortSignal): ChunkReader {
  const chunks = openChunks(source)
  let held: Uint8Array[] = []
  let heldBytes = 0
  let received = 0
  let sum = 0
  /** Makes the first chunk held as long as asked, or all that there is. */
  const gather = async (count: number): Promise<Uint8Array> => {
    while (heldBytes < count) {
      const { value, done } = await unlessAborted(chunks.next(), signal)
      if (done) break
      if (!(value instanceof Uint8Array))
        throw new UsageError('pack-source', 'the source of a pack gives something else than chunks of bytes', {
          hint: 'Give a Uint8Array, the body of a response, or a stream of Uint8Arrays.',
        })
      held.push(value)
      heldBytes += value.length
      received += value.length
    }
    signal?.throwIfAborted()
    if (held.length === 1 || (held.length > 1 && held[0].length >= count)) return held[0]
    const joined = new Uint8Array(heldBytes)
    let position = 0
    for (const chunk of held) {
      joined.set(chunk, position)
      position += chunk.length
    }
    held = [joined]
    return joined
  }
  return {
    get received() {
      return received
    },
    get sum() {
      return sum
    },
    peek: async (count) => (await gather(count)).subarray(0, count),
    async take(count) {
      const first = await gather(count)
      if (first.length < count)
        throw new DataError('bytes-end', `${count} bytes are announced, but the pack ends after ${received}`, {
          hint: 'Fetch the file again.',
        })
      held[0] = first.subarray(count)
      heldBytes -= count
      const taken = first.subarray(0, count)
      sum = crc32(taken, sum)
      return taken
    },
    close: () => chunks.close(),
  }
}

interface Chunks {
  next(): Promise<{ readonly value?: unknown; readonly done?: boolean }>
  close(): void
}

function openChunks(source: ByteSource): Chunks {
  // What goes wrong while a source is closed early is nobody's concern.
  const ignore = () => undefined
  if ('getReader' in source) {
    // Not every browser can iterate over a ReadableStream.
    const reader = source.getReader()
    return { next: () => reader.read(), close: () => void reader.cancel().catch(ignore) }
  }
  if (source instanceof Uint8Array) return openChunks([source])
  if (Symbol.asyncIterator in source) {
    const iterator = source[Symbol.asyncIterator]()
    return { next: () => iterator.next(), close: () => void iterator.return?.().catch(ignore) }
  }
  const iterator = source[Symbol.iterator]()
  return { next: async () => iterator.next(), close: () => void iterator.return?.() }
}

/** The promise, or the signal's reason as soon as it is aborted. */
export function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
