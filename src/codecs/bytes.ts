import { DataError } from '../errors.ts'

/** A growing array of bytes. */
export interface ByteWriter {
  readonly length: number
  byte(value: number): void
  /** A number below 2^53 in base 128, least significant group first, the top bit set on all but the last byte. */
  varint(value: number): void
  /** 32 bits, little-endian. */
  uint32(value: number): void
  bytes(values: Uint8Array): void
  /** A view of what was written so far, until more is. */
  written(): Uint8Array
  /** A copy of what was written. */
  finish(): Uint8Array
}

export function createByteWriter(capacity = 64): ByteWriter {
  let buffer = new Uint8Array(capacity)
  let length = 0
  const reserve = (count: number) => {
    if (length + count <= buffer.length) return
    const grown = new Uint8Array(Math.max(buffer.length * 2, length + count))
    grown.set(buffer.subarray(0, length))
    buffer = grown
  }
  const byte = (value: number) => {
    if (length === buffer.length) reserve(1)
    buffer[length++] = value
  }
  return {
    get length() {
      return length
    },
    byte,
    varint(value) {
      while (value >= 128) {
        byte((value % 128) | 128)
        value = Math.floor(value / 128)
      }
      byte(value)
    },
    uint32(value) {
      for (let shift = 0; shift < 32; shift += 8) byte((value >>> shift) & 255)
    },
    bytes(values) {
      reserve(values.length)
      buffer.set(values, length)
      length += values.length
    },
    written: () => buffer.subarray(0, length),
    finish: () => buffer.slice(0, length),
  }
}

/** Reads what a `ByteWriter` wrote. Every method throws a DataError where the bytes end early. */
export interface ByteReader {
  readonly position: number
  readonly remaining: number
  byte(): number
  /** @throws DataError also where the number is above `limit` or has needless groups. */
  varint(limit?: number): number
  uint32(): number
  /** A view of the next `count` bytes. */
  bytes(count: number): Uint8Array
  /** @throws DataError when bytes are left over. */
  end(): void
}

export function createByteReader(source: Uint8Array, place?: string): ByteReader {
  let position = 0
  const fail = (code: string, message: string): never => {
    throw new DataError(code, `${message} at byte ${position}`, { place, hint: 'Fetch the file again.' })
  }
  const byte = () => {
    if (position >= source.length) fail('bytes-end', 'the data end early')
    return source[position++]
  }
  return {
    get position() {
      return position
    },
    get remaining() {
      return source.length - position
    },
    byte,
    varint(limit = Number.MAX_SAFE_INTEGER) {
      let value = 0
      let unit = 1
      for (let i = 0; ; i++) {
        const group = byte()
        value += (group & 127) * unit
        if (value > limit) fail('bytes-number', `a number is above its limit of ${limit}`)
        if (group < 128) {
          if (group === 0 && i > 0) fail('bytes-number', 'a number has needless zeros')
          return value
        }
        if (i === 7) fail('bytes-number', 'a number is too long')
        unit *= 128
      }
    },
    uint32() {
      const low = byte() | (byte() << 8) | (byte() << 16)
      return low + byte() * 0x1000000
    },
    bytes(count) {
      if (count > source.length - position) fail('bytes-end', `${count} bytes are announced, but the data end early`)
      position += count
      return source.subarray(position - count, position)
    },
    end() {
      if (position !== source.length) fail('bytes-left', `${source.length - position} bytes are left over`)
    },
  }
}
