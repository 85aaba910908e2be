import type { Paper } from '../paper.ts'

/** The arrays that hold symbols: the narrowest that the alphabet allows, see `symbolArray`. */
export type Symbols = Uint8Array | Uint16Array | Uint32Array

/**
 * What symbols stand for, as a hint to models: numbers around 0. 'signed': 0, -1, 1, -2 and so on. 'offset': the symbol
 * less `zero`. 'ranked': symbol 0 is 0, the next `below` are below it, ascending, and the others above, ascending.
 */
export type SymbolOrder =
  | { readonly kind: 'signed' }
  | { readonly kind: 'offset'; readonly zero: number }
  | { readonly kind: 'ranked'; readonly below: number }

/** A sequence of symbols 0..alphabet-1, with the side information that a model of the data may use. */
export interface SymbolStream {
  readonly symbols: Symbols
  /** Number of different symbols; every symbol is below it. At most the codec's `maxAlphabet`. */
  readonly alphabet: number
  /** The shape of the tensor that the symbols fill, row-major; context models look at neighbours in it. */
  readonly shape?: readonly number[]
  /** How symbols are numbers; where absent, they are themselves. */
  readonly order?: SymbolOrder
}

/**
 * A lossless coder of symbols, one record a file. `encode` is deterministic; `decode(encode(s), header of s) = s`.
 * The alphabet, the shape and the number of symbols are known to the decoder beforehand (the container stores them).
 */
export interface Codec {
  readonly name: string
  /** The number that names the codec in a pack; never reused. */
  readonly id: number
  readonly summary: string
  readonly paper?: Paper
  /** The largest alphabet that the codec takes; 65,536 unless stated. */
  readonly maxAlphabet?: number
  /**
   * Whether one probability per symbol rules the whole stream, so that no stream is shorter than its entropy.
   * Absent for adaptive coders, which look at neighbours.
   */
  readonly isStatic?: boolean
  encode(stream: SymbolStream): Uint8Array
  /** @throws DataError when the bytes end early, are left over or contradict themselves. Never allocates more than `count` asks. */
  decode(bytes: Uint8Array, count: number, alphabet: number, shape?: readonly number[]): Symbols
}

export function defineCodec(codec: Codec): Codec {
  return Object.freeze(codec)
}

/** An array for `count` symbols of an alphabet: a byte each up to 256 symbols, two up to 65,536, else four. */
export function symbolArray(alphabet: number, count: number): Symbols {
  if (alphabet <= 256) return new Uint8Array(count)
  return alphabet <= 65536 ? new Uint16Array(count) : new Uint32Array(count)
}

/** Symbols of an alphabet of at most 256 as bytes; a copy only where they are stored wider. */
export function asBytes(symbols: Symbols): Uint8Array {
  return symbols instanceof Uint8Array ? symbols : Uint8Array.from(symbols)
}

/** Whether a codec takes an alphabet of this size. */
export function takesAlphabet(codec: Codec, alphabet: number): boolean {
  return alphabet <= (codec.maxAlphabet ?? 65536)
}
