import { DataError } from '../errors.ts'
import { BitReader, bitsFor, createBitWriter } from './bit-io.ts'
import { histogram } from './canonical.ts'
import { defineCodec, symbolArray } from './codec.ts'

/** The order may be as large as the bits of the largest alphabet. */
const LARGEST_ORDER = 16

/**
 * Exponential-Golomb words of order k: v + 2^k in binary, after as many zeros as it has more than k + 1 bits. Short
 * words for small symbols and no table, so that it suits codes around 0 whose distribution is a falling one.
 * Symbols are not negative; a pack turns signed codes into them as 0, -1, 1, -2, … → 0, 1, 2, 3, …
 * The bytes: k, which the encoder chooses by size, and the words, most significant bit first.
 *
 * Differs from the paper: it counts the zeros of bit vectors, where this codes any symbols.
 */
export const expGolomb = defineCodec({
  name: 'exp-golomb',
  id: 12,
  summary: 'Codes small symbols in short words and large ones in long, without a table: Exp-Golomb of the best order.',
  paper: {
    title: 'A Compression Method for Clustered Bit-Vectors',
    authors: 'Teuhola',
    venue: 'Information Processing Letters',
    year: 1978,
  },
  isStatic: true,
  encode({ symbols, alphabet }) {
    const counts = histogram(symbols, alphabet)
    const costs = Array.from({ length: bitsFor(alphabet) + 1 }, (_, order) =>
      counts.reduce((sum, count, symbol) => sum + count * (zerosOf(symbol, order) * 2 + 1 + order), 0),
    )
    const order = costs.indexOf(Math.min(...costs))
    const writer = createBitWriter(1 + Math.ceil(costs[order] / 8))
    writer.bits(order, 8)
    for (let i = 0; i < symbols.length; i++) {
      const zeros = zerosOf(symbols[i], order)
      writer.bits(0, zeros)
      writer.bits(symbols[i] + 2 ** order, zeros + 1 + order)
    }
    return writer.finish()
  },
  decode(bytes, count, alphabet) {
    const reader = new BitReader(bytes, 'exp-golomb')
    const order = reader.bits(8)
    if (order > LARGEST_ORDER) throw new DataError('codec-order', `an order of ${order} is more than ${LARGEST_ORDER}`)
    if (count * (order + 1) > reader.remaining)
      throw new DataError('codec-end', `${bytes.length} bytes cannot hold ${count} Exp-Golomb words`, {
        hint: 'Fetch the file again.',
      })
    const symbols = symbolArray(alphabet, count)
    for (let i = 0; i < count; i++) {
      let zeros = 0
      while (reader.bits(1) === 0)
        if (++zeros > LARGEST_ORDER)
          throw new DataError('codec-symbol', `an Exp-Golomb word begins with ${zeros} zeros`)
      const symbol = 2 ** (zeros + order) - 2 ** order + reader.bits(zeros + order)
      if (symbol >= alphabet) throw new DataError('codec-symbol', `symbol ${symbol} is not below ${alphabet}`)
      symbols[i] = symbol
    }
    reader.end()
    return symbols
  },
})

/** Zeros before the word of a symbol. */
function zerosOf(symbol: number, order: number): number {
  return 31 - Math.clz32(symbol + 2 ** order) - order
}
