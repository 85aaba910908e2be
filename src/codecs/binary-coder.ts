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

  finish(): Uint8Array {
    return this.encoder.finish()
  }
}

/** A coder that reads. `end` throws a DataError when bytes are left over. */
export class ReadingCoder implements BinaryCoder {
  readonly decoding = true
  private readonly decoder: RangeDecoder

  constructor(bytes: Uint8Array) {
    this.decoder = new RangeDecoder(bytes)
  }

  code(one: number, _bit: number): number {
    return this.decoder.bit(65536 - one)
  }

  end(): void {
    this.decoder.end()
  }
}
