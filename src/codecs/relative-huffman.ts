import { deepCompression } from '../paper.ts'
import { histogramEntropy } from './accounting.ts'
import { createByteReader, createByteWriter } from './bytes.ts'
import { defineCodec } from './codec.ts'
import { huffman } from './huffman.ts'
import { bestGapBits, fromRelativeIndex, readGapBits, relativeIndex } from './relative.ts'

/** Deep Compression's third stage: the gaps and the codes of a relative index, each with a Huffman code of its own. */
export const relativeHuffman = defineCodec({
  name: 'relative-huffman',
  id: 4,
  summary: 'Stores non-zero symbols with the distance to the one before, both Huffman-coded, as Deep Compression does.',
  paper: deepCompression,
  encode({ symbols, alphabet }) {
    // Estimated: the gaps' entropy with two bits for each table entry, and the fillers as one more code.
    const gapBits = bestGapBits(symbols, (_width, entries, fillers, counts) => {
      const codes = histogramEntropy(Float64Array.of(fillers, entries - fillers)) + fillers
      return histogramEntropy(counts) + counts.reduce((sum, count) => sum + (count > 0 ? 2 : 0.2), 0) + codes
    })
    const index = relativeIndex(symbols, alphabet, gapBits)
    const gaps = huffman.encode({ symbols: index.gaps, alphabet: 2 ** gapBits })
    const codes = huffman.encode({ symbols: index.codes, alphabet })
    const writer = createByteWriter()
    writer.byte(gapBits)
    writer.varint(index.gaps.length)
    writer.varint(gaps.length)
    writer.bytes(gaps)
    writer.bytes(codes)
    return writer.finish()
  },
  decode(bytes, count, alphabet) {
    const reader = createByteReader(bytes, 'relative-huffman stream')
    const gapBits = readGapBits(reader.byte())
    const entries = reader.varint(count)
    const gapBytes = reader.bytes(reader.varint(reader.remaining))
    const gaps = huffman.decode(gapBytes, entries, 2 ** gapBits)
    const codes = huffman.decode(reader.bytes(reader.remaining), entries, alphabet)
    return fromRelativeIndex(gaps, codes, count, alphabet)
  },
})
