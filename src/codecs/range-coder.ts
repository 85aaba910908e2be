import { DataError } from '../errors.ts'
import { createByteWriter, type ByteWriter } from './bytes.ts'

const TOP = 2 ** 24
const FULL = 2 ** 32

/**
 * A binary range coder: a 32-bit interval [low, low + range) that every decision splits in the ratio of its
 * probabilities; bytes leave at the top as soon as they are settled. `zero` is the probability of 0 in 65,536ths,
 * from 1 to 65,535. Carries run through bytes held back, so that no code space is lost.
 * After Martin, "Range encoding" (1979); the interval's rounding goes to the decision 1.
 */
export class RangeEncoder {
  private low = 0
  private range = 0xffffffff
  private cache = -1
  private pending = 0
  private readonly out: ByteWriter = createByteWriter(256)

  bit(zero: number, bit: number): void {
    const bound = Math.imul(this.range >>> 16, zero) >>> 0
    if (bit === 0) this.range = bound
    else {
      this.low += bound
      this.range -= bound
    }
    while (this.range < TOP) {
      this.range = (this.range << 8) >>> 0
      this.shift()
    }
  }

  /** Bits without a model, most significant first; up to 32. */
  plain(value: number, count: number): void {
    for (let i = count - 1; i >= 0; i--) this.bit(32768, (value >>> i) & 1)
  }

  /** Bytes that have left the interval, those held back for carries included. */
  get length(): number {
    return this.out.length + this.pending + (this.cache >= 0 ? 1 : 0)
  }

  private shift(): void {
    if (this.low < 0xff000000 || this.low >= FULL) {
      const carry = this.low >= FULL ? 1 : 0
      if (this.cache >= 0) this.out.byte((this.cache + carry) & 255)
      for (; this.pending > 0; this.pending--) this.out.byte((255 + carry) & 255)
      this.cache = (this.low >>> 24) & 255
    } else this.pending++
    this.low = (this.low & 0xffffff) * 256
  }

  /**
   * Ends with the number of the interval that has the most zeros at its end; up to four zero bytes at the end are not
   * stored. So the decoder, which looks four bytes ahead, asks for at most four bytes more than there are.
   */
  finish(): Uint8Array {
    for (let unit = FULL; ; unit /= 256) {
      const value = Math.ceil(this.low / unit) * unit
      if (value < this.low + this.range) {
        this.low = value
        break
      }
    }
    for (let i = 0; i < 5; i++) this.shift()
    const bytes = this.out.finish()
    let end = bytes.length
    while (end > bytes.length - 4 && bytes[end - 1] === 0) end--
    return bytes.slice(0, end)
  }
}

/** Reads what a `RangeEncoder` wrote, given the same probabilities. */
export class RangeDecoder {
  /** The range and the code: in an array, because fields hold numbers of 32 bits as doubles. */
  private readonly state = Uint32Array.of(0xffffffff, 0)
  private taken = 0
  private readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    for (let i = 0; i < 4; i++) this.state[1] = (this.state[1] << 8) | this.next()
  }

  /** Bytes taken so far, four of them ahead; those beyond the end count too. */
  get position(): number {
    return this.taken
  }

  private next(): number {
    const position = this.taken++
    if (position < this.bytes.length) return this.bytes[position]
    if (position >= this.bytes.length + 4)
      throw new DataError('codec-end', 'a range-coded stream ends early', { hint: 'Fetch the file again.' })
    return 0
  }

  bit(zero: number): number {
    const { state } = this
    let range = state[0]
    let code = state[1]
    const bound = Math.imul(range >>> 16, zero) >>> 0
    let bit = 0
    if (code < bound) range = bound
    else {
      code = (code - bound) >>> 0
      range = (range - bound) >>> 0
      bit = 1
    }
    while (range < TOP) {
      range = (range << 8) >>> 0
      code = ((code << 8) | this.next()) >>> 0
    }
    state[0] = range
    state[1] = code
    return bit
  }

  plain(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++) value = value * 2 + this.bit(32768)
    return value
  }

  /** @throws DataError when not all bytes were used. */
  end(): void {
    const { taken: position, bytes } = this
    const needless = position < bytes.length + 4 && bytes.length > 0 && bytes[bytes.length - 1] === 0
    if (position < bytes.length || needless)
      throw new DataError('codec-left', 'a range-coded stream has bytes left over', { hint: 'Fetch the file again.' })
  }
}
