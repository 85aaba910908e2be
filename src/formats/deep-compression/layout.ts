/**
 * The file that the authors of Deep Compression publish networks in. Little-endian, without a header of its own:
 *
 *     uint32  entries[L]                 of each stored layer, fillers included
 *     for each layer
 *       float32 codebook[2^bits]         codebook[0] = 0
 *       float32 bias[outputs]
 *       uint8   codes[ceil(entries * bits / 8)]    two a byte where bits = 4, the low nibble first
 *       uint8   gaps[ceil(entries / 2)]            two a byte, the low nibble first
 *
 * An entry lies `gap` weights behind the one before; weights without an entry are zero, and a run of more than 15 of them is
 * bridged by entries of code 0. Names, order and shapes of the layers stand in the prototxt.
 */

/** Bits of a gap. */
export const GAP_BITS = 4

/** Whether the file holds the weights of a layer of this name. */
export function isStored(layer: string): boolean {
  return /conv|fc|ip/.test(layer)
}

/** Bits of a code: 8 in convolutions, which their name tells, and 4 in all other layers. */
export function codeBits(layer: string): 4 | 8 {
  return layer.includes('conv') ? 8 : 4
}

/** Bytes of so many numbers of `bits` bits. */
export function packedLength(count: number, bits: number): number {
  return Math.ceil((count * bits) / 8)
}

/** The numbers of `bytes`, one or two a byte. */
export function unpack(bytes: Uint8Array, count: number, bits: number): Uint8Array {
  if (bits === 8) return Uint8Array.from(bytes.subarray(0, count))
  const values = new Uint8Array(count)
  for (let i = 0; i < count; i++) values[i] = i & 1 ? bytes[i >> 1] >> 4 : bytes[i >> 1] & 15
  return values
}

/** The inverse of `unpack`; the half of a byte that nothing needs is 0. */
export function pack(values: ArrayLike<number>, bits: number): Uint8Array {
  if (bits === 8) return Uint8Array.from(values)
  const bytes = new Uint8Array(packedLength(values.length, bits))
  for (let i = 0; i < values.length; i++) bytes[i >> 1] |= i & 1 ? values[i] << 4 : values[i]
  return bytes
}

/** A layer as the file has it. */
export interface StoredLayer {
  readonly name: string
  /** One code a weight, row-major, `[out, in / groups, height, width]` or `[out, in]`. */
  readonly codes: Uint8Array
  /** 2^bits values, of which the first is 0. */
  readonly codebook: Float32Array
  readonly bias: Float32Array
}
