import { DataError } from '../errors.ts'
import { createByteWriter } from './bytes.ts'

/** Writes numbers of up to 24 bits, most significant bit first. */
export interface BitWriter {
  bits(value: number, count: number): void
  /** The bytes, the last one filled up with zeros. */
  finish(): Uint8Array
}

export function createBitWriter(capacity = 64): BitWriter {
  const out = createByteWriter(capacity)
  let held = 0
  let heldBits = 0
  return {
    bits(value, count) {
      held = (held << count) | value
      heldBits += count
      while (heldBits >= 8) {
        heldBits -= 8
        out.byte((held >>> heldBits) & 255)
      }
      held &= (1 << heldBits) - 1
    },
    finish() {
      if (heldBits > 0) out.byte((held << (8 - heldBits)) & 255)
      held = 0
      heldBits = 0
      return out.finish()
    },
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
