import type { Paper } from '../paper.ts'

/** A sequence of symbols 0..alphabet-1, with the side information that a model of the data may use. */
export interface SymbolStream {
  readonly symbols: Uint8Array | Uint16Array | Uint32Array
  /** Number of different symbols; every symbol is below it. At most 65,536. */
  readonly alphabet: number
  /** The shape of the tensor that the symbols fill, row-major; context models look at neighbours in it. */
  readonly shape?: readonly number[]
}

/**
 * A lossless coder of symbols, one record a file. `encode` is deterministic; `decode(encode(s), header of s) = s`.
 * The alphabet and the number of symbols are known to the decoder beforehand (the container stores them).
 */
export interface Codec {
  readonly name: string
  /** The byte that names the codec in a pack; never reused. */
  readonly id: number
  readonly summary: string
  readonly paper?: Paper
  encode(stream: SymbolStream): Uint8Array
  /** @throws DataError when the bytes end early, are left over or contradict themselves. Never allocates more than `count` asks. */
  decode(
    bytes: Uint8Array,
    count: number,
    alphabet: number,
    shape?: readonly number[],
  ): Uint8Array | Uint16Array | Uint32Array
}

export function defineCodec(codec: Codec): Codec {
  return Object.freeze(codec)
}
