import { DataError } from '../errors.ts'
import { symbolArray, type Codec, type Symbols } from './codec.ts'
import { RangeDecoder, RangeEncoder } from './range-coder.ts'

/**
 * Codes one decision after another, in either direction, so that a model of the data is written once for both:
 * `code(one, bit)` takes the probability of 1 in 65,536ths (1 to 65,535) and returns the decision, which is `bit` when
 * encoding and comes from the stream, whatever `bit` is, when decoding.
 */
export interface BinaryCoder {
  readonly decoding: boolean
  code(one: number, bit: number): number
}

/** A coder that writes; `finish` gives the bytes. */
export class WritingCoder implements BinaryCoder {
  readonly decoding = false
  private readonly encoder = new RangeEncoder()

  code(one: number, bit: number): number {
    this.encoder.bit(65536 - one, bit)
    return bit
  }

  /** Bytes that are settled so far. */
  get length(): number {
    return this.encoder.length
  }

  finish(): Uint8Array {
    return this.encoder.finish()
  }
}

/** No decision costs less than a 2,000th of a bit, so that a byte cannot stand for more decisions than this. */
const DECISIONS_PER_BYTE = 16384

/** A coder that reads. `end` throws a DataError when bytes are left over. */
export class ReadingCoder implements BinaryCoder {
  readonly decoding = true
  private readonly decoder: RangeDecoder

  private readonly length: number
  private expected = 0

  /** @throws DataError when so few bytes cannot hold so many decisions: to be asked before memory for them is. */
  constructor(bytes: Uint8Array, decisions: number) {
    this.length = bytes.length
    this.expect(decisions)
    this.decoder = new RangeDecoder(bytes)
  }

  /** Announces more decisions. @throws DataError when the bytes cannot hold all that were announced. */
  expect(decisions: number): void {
    this.expected += decisions
    if (this.expected > (this.length + 4) * DECISIONS_PER_BYTE)
      throw new DataError('codec-end', `${this.length} bytes cannot hold ${this.expected} symbols`, {
        hint: 'Fetch the file again.',
      })
  }

  code(one: number, _bit: number): number {
    return this.decoder.bit(65536 - one)
  }

  /** Bytes that are settled by what was read: the decoder looks four ahead. */
  get position(): number {
    return Math.max(0, this.decoder.position - 4)
  }

  end(): void {
    this.decoder.end()
  }
}

/**
 * Both directions of a codec from a model of symbols that is written once: `run` codes every symbol of `symbols`, which
 * it fills when the coder is `decoding`. It must make no decision where the alphabet has a single symbol.
 */
export function codedBy(
  run: (coder: BinaryCoder, symbols: Symbols, alphabet: number, shape?: readonly number[]) => void,
): Pick<Codec, 'encode' | 'decode'> {
  return {
    encode({ symbols, alphabet, shape }) {
      const coder = new WritingCoder()
      run(coder, symbols, alphabet, shape)
      return coder.finish()
    },
    decode(bytes, count, alphabet, shape) {
      const coder = new ReadingCoder(bytes, alphabet < 2 ? 0 : count)
      const symbols = symbolArray(alphabet, count)
      run(coder, symbols, alphabet, shape)
      coder.end()
      return symbols
    },
  }
}
