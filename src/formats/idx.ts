/** The idx format of MNIST: two zero bytes, a type, the number of axes, big-endian sizes, then the values. */
import { DataError } from '../errors.ts'

/** An idx file of unsigned bytes. */
export interface IdxArray {
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** Deflate never expands by more than this, so a declared size beyond it is a lie and nothing is allocated for it. */
const maximalExpansion = 1032

/**
 * Reads an idx file of unsigned bytes, plain or compressed by gzip. What a gzip stream holds beyond the declared size
 * is never expanded.
 * @param place the file's name, for messages.
 * @throws DataError when the bytes are not exactly such a file.
 */
export async function readIdx(bytes: Uint8Array, place: string): Promise<IdxArray> {
  const compressed = bytes.length > 2 && bytes[0] === 0x1f && bytes[1] === 0x8b
  const limit = compressed ? bytes.length * maximalExpansion : bytes.length
  const chunks = compressed ? gunzip(bytes) : [bytes]
  let head = new Uint8Array(0)
  let shape: readonly number[] | undefined
  let data = new Uint8Array(0)
  let filled = 0
  const tooLong = () => damaged('it goes on after its last record', place)
  try {
    for await (const chunk of chunks) {
      let rest = chunk
      if (!shape) {
        head = concatenate(head, chunk)
        const header = parseHeader(head, limit, place)
        if (!header) continue
        shape = header.shape
        data = new Uint8Array(header.count)
        rest = head.subarray(header.length)
      }
      if (filled + rest.length > data.length) throw tooLong()
      data.set(rest, filled)
      filled += rest.length
    }
  } catch (cause) {
    if (cause instanceof DataError) throw cause
    throw damaged('its gzip stream is truncated or damaged', place, cause)
  }
  if (!shape) throw damaged(`it ends after ${head.length} bytes, within its header`, place)
  if (filled < data.length) {
    const record = shape.length > 0 ? Math.floor(filled / (data.length / shape[0])) : 0
    throw damaged(`it ends within record ${record} of ${shape[0]}`, place)
  }
  return { shape, data }
}

async function* gunzip(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'))
  const reader = stream.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** The header, or undefined while it is not complete. */
function parseHeader(bytes: Uint8Array, limit: number, place: string) {
  if (bytes.length < 4) return undefined
  if (bytes[0] !== 0 || bytes[1] !== 0 || bytes[3] === 0)
    throw damaged('it does not begin like an idx file', place, undefined, 'Give the idx files of MNIST, plain or .gz.')
  if (bytes[2] !== 0x08)
    throw damaged(
      `its values have type 0x${bytes[2].toString(16).padStart(2, '0')}; only unsigned bytes are read`,
      place,
    )
  const length = 4 + 4 * bytes[3]
  if (bytes.length < length) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const shape = Array.from({ length: bytes[3] }, (_, axis) => view.getUint32(4 + 4 * axis))
  const count = shape.reduce((product, size) => product * size, 1)
  if (count > limit) throw damaged(`it declares [${shape.join(', ')}] values, more than it can hold`, place)
  return { shape, count, length }
}

function concatenate(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(a.length + b.length)
  result.set(a)
  result.set(b, a.length)
  return result
}

function damaged(problem: string, place: string, cause?: unknown, hint = 'Fetch the file again.'): DataError {
  return new DataError('idx-damaged', `not a whole idx file: ${problem}`, { place, hint, cause })
}
