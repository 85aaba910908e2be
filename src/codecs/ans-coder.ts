import { DataError } from '../errors.ts'
import { CELL_BITS, SCALE_BITS, type Table } from './frequencies.ts'

const SCALE = 1 << SCALE_BITS
/** Fewer for decisions: the smaller the scale, the less is lost to the rounding of the state. */
const DECISION_BITS = 13
const DECISION = 1 << DECISION_BITS
/** Marks the start of a decision's event. */
const DECISION_EVENT = 0x8000
/** The state is at least this, and below this times 65,536, so that it stays an integer of 31 bits. */
const LEAST_STATE = 1 << 15

/**
 * Codes one event after another, in either direction, so that a model of the data is written once for both. Both
 * methods return the event, which is the argument when encoding and comes from the stream when decoding.
 */
export interface AnsCoder {
  /** A decision whose probability of 1 is `one` in 8,192ths (1 to 8,191). */
  decide(one: number, bit: number): number
  /** A symbol under learned frequencies. */
  symbol(table: Table, symbol: number): number
}

/**
 * Asymmetric numeral systems, the range variant (Duda, arXiv 1311.2540, section 3): an event of frequency f of 2^n,
 * starting at c, turns the state x into floor(x / f) · 2^n + c + x mod f; sixteen bits leave when the state would grow
 * too large. What is written last is read first, so that this coder keeps all events and codes them at the end.
 */
export class WritingAns implements AnsCoder {
  /** An event: its start in the upper half, its frequency in the lower. */
  private events = new Uint32Array(1024)
  private count = 0

  private event(start: number, frequency: number): void {
    if (this.count === this.events.length) {
      const grown = new Uint32Array(2 * this.count)
      grown.set(this.events)
      this.events = grown
    }
    this.events[this.count++] = (start << 16) | frequency
  }

  decide(one: number, bit: number): number {
    if (bit === 1) this.event(DECISION_EVENT, one)
    else this.event(DECISION_EVENT | one, DECISION - one)
    return bit
  }

  symbol({ starts }: Table, symbol: number): number {
    this.event(starts[symbol], starts[symbol + 1] - starts[symbol])
    return symbol
  }

  /** The state in four bytes, then pairs of bytes in the order of reading, all little-endian. */
  finish(): Uint8Array {
    const words = new Uint16Array(this.count + 2)
    let at = words.length
    let state = LEAST_STATE
    for (let i = this.count - 1; i >= 0; i--) {
      const event = this.events[i]
      const frequency = event & 0xffff
      const start = (event >>> 16) & 0x7fff
      const bits = event >>> 31 === 1 ? DECISION_BITS : SCALE_BITS
      if (state >>> (31 - bits) >= frequency) {
        words[--at] = state & 0xffff
        state >>>= 16
      }
      const whole = (state / frequency) | 0
      state = (whole << bits) + start + (state - whole * frequency)
    }
    words[--at] = state >>> 16
    words[--at] = state & 0xffff
    const bytes = new Uint8Array(2 * (words.length - at))
    for (let i = 0; at < words.length; i += 2, at++) {
      bytes[i] = words[at] & 255
      bytes[i + 1] = words[at] >> 8
    }
    return bytes
  }
}

/** No event costs less than a 22,713th of a bit, that of a symbol with 32,767 slots, so that a byte cannot stand for more events than this. */
const EVENTS_PER_BYTE = 8 * 22714

const end = (message: string) =>
  new DataError('codec-end', `the rans stream ${message}`, { hint: 'Fetch the file again.' })

/** Reads what a `WritingAns` wrote, given the same model. */
export class ReadingAns implements AnsCoder {
  private state: number
  private position = 4
  private readonly bytes: Uint8Array

  /** @throws DataError when so few bytes cannot hold so many symbols: to be asked before memory for them is. */
  constructor(bytes: Uint8Array, count: number) {
    if (bytes.length < 4 || bytes.length % 2 === 1) throw end('ends early')
    if (count > bytes.length * EVENTS_PER_BYTE) throw end(`of ${bytes.length} bytes cannot hold ${count} symbols`)
    this.bytes = bytes
    this.state = (bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)) >>> 0
    if (this.state < LEAST_STATE || this.state >= LEAST_STATE * 65536) throw end('begins with a wrong state')
  }

  decide(one: number, _bit: number): number {
    const slot = this.state & (DECISION - 1)
    const above = this.state >>> DECISION_BITS
    if (slot < one) {
      this.set(Math.imul(one, above) + slot)
      return 1
    }
    this.set(Math.imul(DECISION - one, above) + slot - one)
    return 0
  }

  symbol({ starts, cells }: Table, _symbol: number): number {
    const slot = this.state & (SCALE - 1)
    let symbol = cells[slot >>> CELL_BITS]
    while (starts[symbol + 1] <= slot) symbol++
    const start = starts[symbol]
    this.set(Math.imul(starts[symbol + 1] - start, this.state >>> SCALE_BITS) + slot - start)
    return symbol
  }

  private set(state: number): void {
    if (state >= LEAST_STATE) {
      this.state = state
      return
    }
    const { bytes, position } = this
    if (position >= bytes.length) throw end('ends early')
    this.state = (state << 16) | bytes[position] | (bytes[position + 1] << 8)
    this.position = position + 2
  }

  /** @throws DataError when not all bytes were used, or the state is not the one that the writer began with. */
  end(): void {
    if (this.position < this.bytes.length || this.state !== LEAST_STATE) throw end('does not end with its last symbol')
  }
}
