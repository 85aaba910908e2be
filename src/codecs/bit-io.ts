import { DataError } from '../errors.ts'
import { createByteWriter } from './bytes.ts'

/** Writes numbers of up to 32 bits, most significant bit first. */
export interface BitWriter {
  bits(value: number, count: number): void
  /** The bytes, the last one filled up with zeros. */
  finish(): Uint8Array
}

export function createBitWriter(capacity = 64): BitWriter {
  const out = createByteWriter(capacity)
  let held = 0
  let heldBits = 0
  const bits = (value: number, count: number): void => {
    if (count > 24) {
      bits(value >>> 24, count - 24)
      bits(value & 0xffffff, 24)
      return
    }
    held = (held << count) | value
    heldBits += count
    while (heldBits >= 8) {
      heldBits -= 8
      out.byte((held >>> heldBits) & 255)
    }
    held &= (1 << heldBits) - 1
  }
  return {
    bits,
    finish() {
      if (heldBits > 0) out.byte((held << (8 - heldBits)) & 255)
      held = 0
      heldBits = 0
      return out.finish()
    },
  }
}

/** Reads what a `BitWriter` wrote. */
export class BitReader {
  private position = 0
  private readonly source: Uint8Array
  private readonly codec: string

  constructor(source: Uint8Array, codec: string) {
    this.source = source
    this.codec = codec
  }

  /** How many bits are left. */
  get remaining(): number {
    return this.source.length * 8 - this.position
  }

  /** A number of up to 32 bits. @throws DataError when there are not as many. */
  bits(count: number): number {
    if (count > this.remaining) checkBitEnd(this.source, this.position + count, this.codec)
    let value = 0
    for (let left = count; left > 0;) {
      const inByte = 8 - (this.position & 7)
      const now = Math.min(left, inByte)
      value = (value << now) | ((this.source[this.position >> 3] >> (inByte - now)) & ((1 << now) - 1))
      this.position += now
      left -= now
    }
    return value >>> 0
  }

  /** @throws DataError when more is left than the zeros that fill the last byte. */
  end(): void {
    checkBitEnd(this.source, this.position, this.codec)
  }
}

/** Checks that `used` bits fill `bytes` to its last byte and that the rest of that byte is zero. */
export function checkBitEnd(bytes: Uint8Array, used: number, codec: string): void {
  const rest = bytes.length * 8 - used
  if (rest < 0) throw new DataError('codec-end', `the ${codec} stream ends early`, { hint: 'Fetch the file again.' })
  if (rest >= 8 || (bytes.length > 0 && (bytes[bytes.length - 1] & ((1 << rest) - 1)) !== 0))
    throw new DataError('codec-left', `the ${codec} stream has bits left over`, { hint: 'Fetch the file again.' })
}

/** The number of bits that tell `alphabet` symbols apart. */
export function bitsFor(alphabet: number): number {
  return alphabet <= 1 ? 0 : 32 - Math.clz32(alphabet - 1)
}
