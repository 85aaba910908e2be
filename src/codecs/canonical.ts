import { DataError } from '../errors.ts'
import { createBitWriter } from './bit-io.ts'
import { symbolArray, type Symbols } from './codec.ts'

/** No code word is longer than this. */
export const LONGEST_CODE = 24

/** How often each symbol occurs. */
export function histogram(symbols: Symbols, alphabet: number): Float64Array {
  const counts = new Float64Array(alphabet)
  for (let i = 0; i < symbols.length; i++) counts[symbols[i]]++
  return counts
}

/**
 * The lengths of the best prefix code whose words have at most `longest` bits: package-merge (Larmore and Hirschberg,
 * 1990). A symbol that does not occur gets 0, the only one that occurs 0 too: it needs no bits.
 */
export function codeLengths(counts: Float64Array, longest = LONGEST_CODE): Uint8Array {
  const lengths = new Uint8Array(counts.length)
  const used = Array.from(counts.keys()).filter((symbol) => counts[symbol] > 0)
  used.sort((a, b) => counts[a] - counts[b] || a - b)
  const n = used.length
  if (n < 2) return lengths
  // One list a level, longest words first: its cheapest items are leaves or pairs of the items of the level before.
  const isLeaf: Uint8Array[] = []
  let weights: Float64Array = new Float64Array(0)
  for (let level = 0; level < longest; level++) {
    const pairs = weights.length >> 1
    const merged = new Float64Array(n + pairs)
    const leaf = new Uint8Array(n + pairs)
    for (let k = 0, i = 0, j = 0; k < merged.length; k++) {
      const pair = j < pairs ? weights[2 * j] + weights[2 * j + 1] : Infinity
      if (i < n && counts[used[i]] <= pair) {
        merged[k] = counts[used[i++]]
        leaf[k] = 1
      } else {
        merged[k] = pair
        j++
      }
    }
    isLeaf.push(leaf)
    weights = merged
  }
  let taken = 2 * n - 2
  for (let level = longest - 1; level >= 0 && taken > 0; level--) {
    let leaves = 0
    for (let k = 0; k < taken; k++) leaves += isLeaf[level][k]
    for (let k = 0; k < leaves; k++) lengths[used[k]]++
    taken = 2 * (taken - leaves)
  }
  return lengths
}

/** The canonical code words of these lengths: shorter words first, equal lengths by symbol. */
export function codeWords(lengths: Uint8Array): Uint32Array {
  const words = new Uint32Array(lengths.length)
  const next = firstWords(lengths)
  for (let symbol = 0; symbol < lengths.length; symbol++)
    if (lengths[symbol] > 0) words[symbol] = next[lengths[symbol]]++
  return words
}

function lengthCounts(lengths: Uint8Array): Uint32Array {
  const counts = new Uint32Array(LONGEST_CODE + 1)
  for (const length of lengths) counts[length]++
  counts[0] = 0
  return counts
}

function firstWords(lengths: Uint8Array): Uint32Array {
  const counts = lengthCounts(lengths)
  const first = new Uint32Array(LONGEST_CODE + 2)
  for (let length = 1; length <= LONGEST_CODE; length++) first[length + 1] = (first[length] + counts[length]) * 2
  return first
}

/** Encodes symbols with the canonical code of these lengths. */
export function encodeCanonical(symbols: Symbols, lengths: Uint8Array): Uint8Array {
  const words = codeWords(lengths)
  const writer = createBitWriter(symbols.length >> 1)
  for (let i = 0; i < symbols.length; i++) writer.bits(words[symbols[i]], lengths[symbols[i]])
  return writer.finish()
}

const LOOKUP_BITS = 11

function fail(message: string): never {
  throw new DataError('codec-huffman', `the Huffman stream ${message}`, { hint: 'Fetch the file again.' })
}

/**
 * Decodes `count` symbols by a table of the next eleven bits; longer words go on by their first words.
 * @throws DataError when the code is not complete or the bytes do not hold exactly `count` words.
 */
export function decodeCanonical(bytes: Uint8Array, count: number, lengths: Uint8Array): Symbols {
  const counts = lengthCounts(lengths)
  let space = 0
  for (let length = 1; length <= LONGEST_CODE; length++) space += counts[length] * 2 ** -length
  if (space !== 1) fail('has a code table that is not complete')
  if (count > bytes.length * 8) fail('ends early')
  const words = codeWords(lengths)
  const first = firstWords(lengths)
  const sorted: number[] = []
  const offsets = new Uint32Array(LONGEST_CODE + 2)
  for (let length = 1; length <= LONGEST_CODE; length++) offsets[length + 1] = offsets[length] + counts[length]
  const fill = offsets.slice()
  const lookup = new Uint32Array(1 << LOOKUP_BITS)
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]
    if (length === 0) continue
    sorted[fill[length]++] = symbol
    if (length > LOOKUP_BITS) continue
    const start = words[symbol] << (LOOKUP_BITS - length)
    lookup.fill((symbol << 5) | length, start, start + (1 << (LOOKUP_BITS - length)))
  }
  const symbols = symbolArray(lengths.length, count)
  let held = 0
  let heldBits = 0
  let position = 0
  for (let i = 0; i < count; i++) {
    while (heldBits <= 24) {
      held |= (position < bytes.length ? bytes[position] : 0) << (24 - heldBits)
      position++
      heldBits += 8
    }
    const entry = lookup[held >>> (32 - LOOKUP_BITS)]
    let length = entry & 31
    let symbol = entry >>> 5
    if (length === 0) {
      length = LOOKUP_BITS + 1
      while (length <= LONGEST_CODE && (held >>> (32 - length)) - first[length] >= counts[length]) length++
      if (length > LONGEST_CODE) fail('has a word that is not in its code')
      symbol = sorted[offsets[length] + (held >>> (32 - length)) - first[length]]
    }
    symbols[i] = symbol
    held <<= length
    heldBits -= length
  }
  const used = position * 8 - heldBits
  if (Math.ceil(used / 8) !== bytes.length) fail('does not end with its last word')
  if (used % 8 !== 0 && (bytes[bytes.length - 1] & (255 >> (used % 8))) !== 0) fail('has bits left over')
  return symbols
}
