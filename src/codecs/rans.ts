import { DataError } from '../errors.ts'
import { ReadingAns, WritingAns, type AnsCoder } from './ans-coder.ts'
import { defineCodec, symbolArray, type Symbols } from './codec.ts'
import { Estimates } from './estimates.ts'
import { Frequencies } from './frequencies.ts'
import { neighbourhood, zeroNeighbours } from './neighbours.ts'

/**
 * The fast one. Symbols are coded whole, by asymmetric numeral systems, under frequencies that are learned on the way;
 * in the form with flags, 0 is a decision of its own before, whose probability knows which neighbours in the tensor
 * are 0. The first byte says the form, which the encoder chooses by size.
 */
export const rans = defineCodec({
  name: 'rans',
  id: 9,
  summary:
    'Codes whole symbols by learned frequencies and asymmetric numeral systems: small, and the fastest to decode.',
  paper: {
    title:
      'Asymmetric numeral systems: entropy coding combining speed of Huffman coding with compression rate of arithmetic coding',
    authors: 'Duda',
    venue: 'arXiv',
    year: 2013,
    arxiv: '1311.2540',
  },
  maxAlphabet: 256,
  encode({ symbols, alphabet, shape }) {
    if (symbols.length === 0 || alphabet < 2) return new Uint8Array(0)
    const forms = alphabet === 2 ? [FLAGS] : [FLAGS, PLAIN]
    const streams = forms.map((form) => {
      const coder = new WritingAns()
      models[form](coder, symbols, alphabet, shape)
      return coder.finish()
    })
    const form = streams.length === 1 || streams[0].length <= streams[1].length ? 0 : 1
    const bytes = new Uint8Array(1 + streams[form].length)
    bytes[0] = forms[form]
    bytes.set(streams[form], 1)
    return bytes
  },
  decode(bytes, count, alphabet, shape) {
    if (count === 0 || alphabet < 2) {
      if (bytes.length > 0) throw new DataError('codec-left', 'a rans stream without symbols has bytes')
      return symbolArray(alphabet, count)
    }
    const form = bytes[0]
    if (form !== FLAGS && (form !== PLAIN || alphabet === 2))
      throw new DataError('codec-form', 'the rans stream has an unknown form', { hint: 'Fetch the file again.' })
    const coder = new ReadingAns(bytes.subarray(1), count)
    const symbols = symbolArray(alphabet, count)
    models[form](coder, symbols, alphabet, shape)
    coder.end()
    return symbols
  },
})

/** Whether 0 has a decision of its own. */
const FLAGS = 0
const PLAIN = 1
const models = [flagged, plain]

/** From 65,536ths to 8,192ths. */
const PROBABILITY_SHIFT = 3

function plain(coder: AnsCoder, symbols: Symbols, alphabet: number): void {
  const frequencies = new Frequencies(alphabet, 0)
  for (let i = 0; i < symbols.length; i++) {
    const symbol = coder.symbol(frequencies.table, symbols[i])
    frequencies.learn(symbol)
    symbols[i] = symbol
  }
}

function flagged(coder: AnsCoder, symbols: Symbols, alphabet: number, shape?: readonly number[]): void {
  const hood = neighbourhood(shape, symbols.length)
  const flags = new Estimates(32)
  const frequencies = new Frequencies(alphabet, 1)
  for (let i = 0; i < symbols.length; i++) {
    const context = zeroNeighbours(symbols, i, hood)
    const isZero = coder.decide(flags.one(context) >> PROBABILITY_SHIFT, symbols[i] === 0 ? 1 : 0)
    flags.learn(context, isZero)
    if (isZero === 1) symbols[i] = 0
    else if (alphabet === 2) symbols[i] = 1
    else {
      const symbol = coder.symbol(frequencies.table, symbols[i])
      frequencies.learn(symbol)
      symbols[i] = symbol
    }
  }
}
