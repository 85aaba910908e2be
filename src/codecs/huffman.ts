import { DataError } from '../errors.ts'
import { createByteReader, createByteWriter } from './bytes.ts'
import { codeLengths, decodeCanonical, encodeCanonical, histogram, LONGEST_CODE } from './canonical.ts'
import { defineCodec, symbolArray } from './codec.ts'
import { RangeDecoder, RangeEncoder } from './range-coder.ts'

/**
 * A canonical Huffman coder. The bytes are a varint, the size of the table, the table and the code words.
 * The table is the length of every symbol's word, five binary decisions each, whose probabilities adapt to the length
 * of the symbol before: neighbouring symbols have words of similar length, so that a length costs about a bit.
 */
export const huffman = defineCodec({
  name: 'huffman',
  id: 2,
  summary: 'Codes symbols by how often they occur, in whole bits each: canonical Huffman.',
  paper: {
    title: 'A Method for the Construction of Minimum-Redundancy Codes',
    authors: 'Huffman',
    venue: 'Proceedings of the IRE',
    year: 1952,
  },
  isStatic: true,
  encode({ symbols, alphabet }) {
    const writer = createByteWriter()
    if (symbols.length === 0) return writer.finish()
    const lengths = codeLengths(histogram(symbols, alphabet))
    const lonely = lengths.every((length) => length === 0)
    // A stream of one symbol has no words: the table holds the symbol itself, marked by length 1 alone.
    if (lonely) lengths[symbols[0]] = 1
    const table = encodeLengths(lengths)
    writer.varint(table.length)
    writer.bytes(table)
    if (!lonely) writer.bytes(encodeCanonical(symbols, lengths))
    return writer.finish()
  },
  decode(bytes, count, alphabet) {
    const reader = createByteReader(bytes, 'huffman stream')
    if (count === 0) {
      reader.end()
      return symbolArray(alphabet, 0)
    }
    const table = reader.bytes(reader.varint(reader.remaining))
    const lengths = decodeLengths(table, alphabet)
    const used = lengths.reduce((sum, length) => sum + (length > 0 ? 1 : 0), 0)
    if (used === 1) {
      reader.end()
      return symbolArray(alphabet, count).fill(lengths.findIndex((length) => length > 0))
    }
    return decodeCanonical(reader.bytes(reader.remaining), count, lengths)
  },
})

const LENGTH_BITS = 5
const CONTEXTS = 1 << LENGTH_BITS

function encodeLengths(lengths: Uint8Array): Uint8Array {
  const coder = new RangeEncoder()
  const model = new Uint16Array(CONTEXTS * CONTEXTS).fill(32768)
  let previous = 0
  for (const length of lengths) {
    let node = 1
    for (let i = LENGTH_BITS - 1; i >= 0; i--) {
      const bit = (length >> i) & 1
      coder.bit(model[previous * CONTEXTS + node], bit)
      adapt(model, previous * CONTEXTS + node, bit)
      node = node * 2 + bit
    }
    previous = length
  }
  return coder.finish()
}

function decodeLengths(bytes: Uint8Array, alphabet: number): Uint8Array {
  const coder = new RangeDecoder(bytes)
  const model = new Uint16Array(CONTEXTS * CONTEXTS).fill(32768)
  const lengths = new Uint8Array(alphabet)
  let previous = 0
  for (let symbol = 0; symbol < alphabet; symbol++) {
    let node = 1
    for (let i = 0; i < LENGTH_BITS; i++) {
      const bit = coder.bit(model[previous * CONTEXTS + node])
      adapt(model, previous * CONTEXTS + node, bit)
      node = node * 2 + bit
    }
    previous = node - CONTEXTS
    if (previous > LONGEST_CODE) throw new DataError('codec-huffman', `a Huffman word of ${previous} bits is too long`)
    lengths[symbol] = previous
  }
  coder.end()
  return lengths
}

/** Moves the probability of 0 by a quarter towards what came: short tables must learn fast. Stays within 64..65,472. */
function adapt(model: Uint16Array, index: number, bit: number): void {
  if (bit === 0) model[index] += (65536 - model[index]) >> 2
  else model[index] -= model[index] >> 2
  if (model[index] < 64) model[index] = 64
  else if (model[index] > 65472) model[index] = 65472
}
