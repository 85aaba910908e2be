import { DataError } from '../errors.ts'
import { deepCompression } from '../paper.ts'
import { BitReader, bitsFor, checkBitEnd, createBitWriter } from './bit-io.ts'
import { createByteReader, createByteWriter } from './bytes.ts'
import { symbolArray, defineCodec, type Symbols } from './codec.ts'

/** The non-zero symbols of a stream by their distance to the one before. */
export interface RelativeIndex {
  /** Bits of a gap. */
  readonly gapBits: number
  /** Zeros before each entry, up to 2^gapBits - 1. */
  readonly gaps: Uint16Array
  /** The symbol of each entry; 0 for a filler, which stands where a run of zeros is longer than a gap can say. */
  readonly codes: Symbols
  /** How many entries are fillers. */
  readonly fillers: number
}

/** The most bits that a gap may have. */
const MOST_GAP_BITS = 16

/**
 * Deep Compression's relative index: an entry a non-zero symbol, with the number of zeros before it; a longer run is
 * bridged by fillers, entries of code 0 (section 2, figure 2). Zeros after the last entry are not stored.
 */
export function relativeIndex(symbols: Symbols, alphabet: number, gapBits: number): RelativeIndex {
  const largest = 2 ** gapBits - 1
  let entries = 0
  let fillers = 0
  for (let i = 0, last = -1; i < symbols.length; i++) {
    if (symbols[i] === 0) continue
    fillers += Math.floor((i - last - 1) / (largest + 1))
    entries++
    last = i
  }
  entries += fillers
  const gaps = new Uint16Array(entries)
  const codes = symbolArray(alphabet, entries)
  for (let i = 0, last = -1, entry = 0; i < symbols.length; i++) {
    if (symbols[i] === 0) continue
    let gap = i - last - 1
    for (; gap > largest; gap -= largest + 1) gaps[entry++] = largest
    gaps[entry] = gap
    codes[entry++] = symbols[i]
    last = i
  }
  return { gapBits, gaps, codes, fillers }
}

/** The symbols of a relative index. @throws DataError when they are more than `count`. */
export function fromRelativeIndex(gaps: Symbols, codes: Symbols, count: number, alphabet: number): Symbols {
  const symbols = symbolArray(alphabet, count)
  let position = -1
  for (let entry = 0; entry < gaps.length; entry++) {
    position += gaps[entry] + 1
    if (position >= count)
      throw new DataError('codec-gap', `entry ${entry} of the relative index points past the last of ${count} symbols`)
    symbols[position] = codes[entry]
  }
  return symbols
}

/** Calls `cost` with the gap histogram and the number of fillers for every width, and returns the cheapest width. */
export function bestGapBits(
  symbols: Symbols,
  cost: (gapBits: number, entries: number, fillers: number, gapCounts: Float64Array) => number,
): number {
  // Runs of zeros by length; the histogram of every width follows from it.
  const runs = new Map<number, number>()
  let nonzero = 0
  for (let i = 0, last = -1; i < symbols.length; i++) {
    if (symbols[i] === 0) continue
    runs.set(i - last - 1, (runs.get(i - last - 1) ?? 0) + 1)
    nonzero++
    last = i
  }
  let best = 0
  let bestCost = Infinity
  for (let gapBits = 0; gapBits <= MOST_GAP_BITS; gapBits++) {
    const size = 2 ** gapBits
    const counts = new Float64Array(size)
    let fillers = 0
    for (const [run, count] of runs) {
      const bridged = Math.floor(run / size)
      fillers += bridged * count
      counts[size - 1] += bridged * count
      counts[run % size] += count
    }
    const total = cost(gapBits, nonzero + fillers, fillers, counts)
    if (total < bestCost) {
      best = gapBits
      bestCost = total
    }
  }
  return best
}

/** The relative index in fixed bits: the size of a gap is chosen for the shortest stream. */
export const relative = defineCodec({
  name: 'relative',
  id: 3,
  summary: 'Stores non-zero symbols with the distance to the one before, both in fixed bits, as Deep Compression does.',
  paper: deepCompression,
  encode({ symbols, alphabet }) {
    const codeBits = bitsFor(alphabet)
    const gapBits = bestGapBits(symbols, (width, entries) => entries * (width + codeBits))
    const index = relativeIndex(symbols, alphabet, gapBits)
    const header = createByteWriter()
    header.byte(gapBits)
    header.varint(index.gaps.length)
    const writer = createBitWriter()
    for (let entry = 0; entry < index.gaps.length; entry++) {
      writer.bits(index.gaps[entry], gapBits)
      writer.bits(index.codes[entry], codeBits)
    }
    header.bytes(writer.finish())
    return header.finish()
  },
  decode(bytes, count, alphabet) {
    const reader = createByteReader(bytes, 'relative stream')
    const gapBits = readGapBits(reader.byte())
    const entries = reader.varint(count)
    const packed = reader.bytes(reader.remaining)
    const codeBits = bitsFor(alphabet)
    checkBitEnd(packed, entries * (gapBits + codeBits), 'relative')
    const gaps = new Uint16Array(entries)
    const codes = symbolArray(alphabet, entries)
    const fields = new BitReader(packed, 'relative')
    for (let entry = 0; entry < entries; entry++) {
      gaps[entry] = fields.bits(gapBits)
      const code = fields.bits(codeBits)
      if (code >= alphabet) throw new DataError('codec-symbol', `symbol ${code} is not below ${alphabet}`)
      codes[entry] = code
    }
    return fromRelativeIndex(gaps, codes, count, alphabet)
  },
})

/** @throws DataError when the width is out of range. */
export function readGapBits(gapBits: number): number {
  if (gapBits > MOST_GAP_BITS)
    throw new DataError('codec-gap', `a gap of ${gapBits} bits is more than ${MOST_GAP_BITS}`)
  return gapBits
}
