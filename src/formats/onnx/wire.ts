/**
 * The protobuf wire format, as far as tensors need it. The general decoder turns every packed number into an array
 * element and copies every message once a nesting level; weights are read and written past it.
 */
import { DataError } from '../../errors.ts'

/** A field of a message: its number, wire type, and where its tag, value and end lie. */
export interface WireField {
  readonly number: number
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  readonly type: number
  readonly start: number
  /** First byte of the value; after the length for length-delimited fields. */
  readonly valueStart: number
  readonly end: number
}

function malformed(message: string, place: string): DataError {
  return new DataError('onnx-protobuf', message, {
    place,
    hint: 'The file is damaged or is not an ONNX model; fetch or export it again.',
  })
}

/** Calls `visit` for each field of the message in `bytes`. @throws DataError on malformed bytes. */
export function scanFields(bytes: Uint8Array, place: string, visit: (field: WireField) => void): void {
  let position = 0
  while (position < bytes.length) {
    const start = position
    const tag = readVarint(bytes, position, place)
    const number = Math.floor(tag.value / 8)
    const type = tag.value % 8
    if (number === 0 || number >= 2 ** 29)
      throw malformed(`field number ${number} at byte ${start} is impossible`, place)
    let valueStart = tag.end
    let end: number
    if (type === 0) end = readVarint(bytes, valueStart, place).end
    else if (type === 1) end = valueStart + 8
    else if (type === 5) end = valueStart + 4
    else if (type === 2) {
      const length = readVarint(bytes, valueStart, place)
      valueStart = length.end
      end = valueStart + length.value
    } else throw malformed(`wire type ${type} at byte ${start} is not used by ONNX`, place)
    if (end > bytes.length)
      throw malformed(`field ${number} at byte ${start} ends ${end - bytes.length} bytes after its message`, place)
    visit({ number, type, start, valueStart, end })
    position = end
  }
}

/** A varint as a number; beyond 2^53 it is only approximate, which is enough to see that a length is impossible. */
export function readVarint(bytes: Uint8Array, position: number, place: string): { value: number; end: number } {
  let value = 0
  let scale = 1
  for (let i = 0; i < 10; i++) {
    if (position + i >= bytes.length) throw malformed('the bytes end inside a number', place)
    const byte = bytes[position + i]
    value += (byte & 127) * scale
    if (byte < 128) return { value, end: position + i + 1 }
    scale *= 128
  }
  throw malformed(`the number at byte ${position} is longer than ten bytes`, place)
}

/** The varints in `chunks`, signed 64-bit, into `target`, as many as it has room for. */
export function readVarints(chunks: readonly Uint8Array[], target: BigInt64Array): void {
  let index = 0
  for (const chunk of chunks) {
    let low = 0
    let high = 0
    let shift = 0
    for (const byte of chunk) {
      const bits = byte & 127
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high |= bits >>> 4
      } else high |= bits << (shift - 32)
      shift += 7
      if (byte < 128) {
        if (index < target.length)
          target[index++] = high === 0 ? BigInt(low >>> 0) : (BigInt(high) << 32n) | BigInt(low >>> 0)
        low = high = shift = 0
      }
    }
  }
}

/** How many varints the chunks hold. @throws DataError when the last one is cut or one is too long. */
export function countVarints(chunks: readonly Uint8Array[], place: string): number {
  let count = 0
  for (const chunk of chunks) {
    let length = 0
    for (const byte of chunk) {
      if (++length > 10) throw malformed('a packed number is longer than ten bytes', place)
      if (byte < 128) {
        count++
        length = 0
      }
    }
    if (length > 0) throw malformed('the bytes end inside a packed number', place)
  }
  return count
}

/** The bytes of a varint; negative numbers take ten, as two's complement of 64 bits. */
export function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}

/** Chunks of bytes that make a length-delimited field; the chunks themselves are not copied. */
export function delimited(number: number, chunks: readonly Uint8Array[]): Uint8Array[] {
  return [varint(number * 8 + 2), varint(totalLength(chunks)), ...chunks]
}

export function totalLength(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
}

/** One array with the bytes of all chunks. */
export function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0]
  const result = new Uint8Array(totalLength(chunks))
  let position = 0
  for (const chunk of chunks) {
    result.set(chunk, position)
    position += chunk.length
  }
  return result
}

/** The same bytes as a plain Uint8Array: `slice` of a Node Buffer would copy nothing. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
