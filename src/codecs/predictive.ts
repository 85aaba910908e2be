import { DataError, UsageError } from '../errors.ts'
import { ReadingCoder, WritingCoder, type BinaryCoder } from './binary-coder.ts'
import { defineCodec, symbolArray, type SymbolOrder, type Symbols, type SymbolStream } from './codec.ts'
import { fromDependent, toDependent } from './dependent.ts'
import { Estimates } from './estimates.ts'
import { MOST_NUMBERS, NumberModel } from './number-model.ts'

/**
 * Symbols as the numbers that they stand for: predicted by regressions on rows, channels and neighbours that resemble
 * each other, and coded by mixed contexts. The smallest and the slowest; several tensors can share a stream and what
 * the model has learnt, see `encodeTogether`.
 */
export const predictive = defineCodec({
  name: 'predictive',
  id: 13,
  summary: 'Codes integers by mixed contexts and by regressions on the rows, channels and neighbours of the tensor.',
  encode: (stream) => encodeTogether([stream]).bytes,
  decode: (bytes, count, alphabet, shape) => decodeTogether(bytes, [{ count, alphabet, shape }]).symbols[0],
})

/** What a reader knows of one of the streams that are coded together. */
export interface TogetherHeader {
  readonly count: number
  readonly alphabet: number
  readonly shape?: readonly number[]
}

/** Encodes streams of at most `MOST_NUMBERS` symbols in all one after another with one model. `ends` says how many bytes were settled after each of them. */
export function encodeTogether(streams: readonly SymbolStream[]): { bytes: Uint8Array; ends: number[] } {
  const coder = new WritingCoder()
  const count = countOf(streams.map(({ symbols }) => symbols.length))
  if (count > MOST_NUMBERS)
    throw new UsageError('codec-size', `${count} symbols are more than 'predictive' takes, ${MOST_NUMBERS}`, {
      hint: "Choose 'mixing' or 'adaptive' for large tensors.",
    })
  const model = new NumberModel(coder, count)
  const headers = new Estimates(FIELDS * FIELD_CONTEXTS)
  const ends = streams.map(({ symbols, shape, order = raw }) => {
    if (symbols.length > 0) {
      const plain = Int32Array.from(symbols, (symbol) => toNumber(symbol, order))
      const codes = order.kind === 'signed' ? toDependent(plain) : undefined
      const dependent = codes !== undefined
      const numbers = codes ?? plain
      let low = order.kind === 'ranked' ? -order.below : 0
      let high = 0
      for (const number of numbers) {
        if (number < low) low = number
        if (number > high) high = number
      }
      codeHeader(coder, headers, { order, dependent, low, high })
      if (low < high) model.code({ numbers, shape, low, high, dependent })
    }
    return coder.length
  })
  return { bytes: coder.finish(), ends }
}

/**
 * Decodes what `encodeTogether` wrote. `ends` says how many bytes were read after each of the streams.
 * @throws DataError when the bytes end early, are left over, or give what is no symbol of its alphabet.
 */
export function decodeTogether(
  bytes: Uint8Array,
  headers: readonly TogetherHeader[],
): { symbols: Symbols[]; ends: number[] } {
  const count = countOf(headers.map((header) => header.count))
  if (count > MOST_NUMBERS)
    throw new DataError('codec-size', `${count} numbers are more than one stream may hold, ${MOST_NUMBERS}`)
  const coder = new ReadingCoder(bytes, headers.length)
  const model = new NumberModel(coder, count)
  const estimates = new Estimates(FIELDS * FIELD_CONTEXTS)
  const ends: number[] = []
  const decoded = headers.map((header) => {
    ends.push(Math.min(bytes.length, coder.position))
    if (header.count === 0) return symbolArray(header.alphabet, 0)
    const read = codeHeader(coder, estimates, { order: raw, dependent: false, low: 0, high: 0 })
    const { order, dependent, low, high } = read
    if (high - low > LARGEST) throw new DataError('codec-symbol', `numbers from ${low} to ${high} are no symbols`)
    // Zeros take no decision; others are announced before memory for them is asked for.
    if (low < high) coder.expect(header.count)
    const numbers = new Int32Array(header.count)
    if (low < high) model.code({ numbers, shape: header.shape, low, high, dependent })
    if (dependent) fromDependent(numbers)
    const symbols = symbolArray(header.alphabet, header.count)
    for (let i = 0; i < numbers.length; i++) {
      const symbol = toSymbol(numbers[i], order)
      if (symbol < 0 || symbol >= header.alphabet)
        throw new DataError('codec-symbol', `symbol ${symbol} is not below ${header.alphabet}`)
      symbols[i] = symbol
    }
    ends[ends.length - 1] = Math.min(bytes.length, coder.position)
    return symbols
  })
  coder.end()
  return { symbols: decoded, ends }
}

const raw: SymbolOrder = { kind: 'offset', zero: 0 }

/** Symbols are below 65,536, and numbers are as far apart as symbols. */
const LARGEST = 2 ** 17

function countOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

function toNumber(symbol: number, order: SymbolOrder): number {
  if (order.kind === 'offset') return symbol - order.zero
  if (order.kind === 'signed') return symbol & 1 ? -((symbol + 1) >> 1) : symbol >> 1
  return symbol === 0 ? 0 : symbol <= order.below ? symbol - order.below - 1 : symbol - order.below
}

function toSymbol(number: number, order: SymbolOrder): number {
  if (order.kind === 'offset') return number + order.zero
  if (order.kind === 'signed') return number < 0 ? -2 * number - 1 : 2 * number
  return number === 0 ? 0 : number < 0 ? number + order.below + 1 : number + order.below
}

/** What precedes the numbers of each tensor in the stream. */
interface Header {
  readonly order: SymbolOrder
  /** Whether the numbers are codes of dependent quantization. */
  readonly dependent: boolean
  readonly low: number
  readonly high: number
}

/** The last are signed numbers as codes of dependent quantization. */
const orders = ['signed', 'offset', 'ranked', 'dependent'] as const
/** Fields of the header: the order, the zero, and how far the numbers go down and up. */
const FIELDS = 4
const FIELD_CONTEXTS = 64
/** Bits of the largest number of a header. */
const LONGEST = 17

function codeHeader(coder: BinaryCoder, estimates: Estimates, header: Header): Header {
  const { order, low, high } = header
  const kind = orders[codeField(coder, estimates, 0, orders.indexOf(header.dependent ? 'dependent' : order.kind))]
  if (kind === undefined)
    throw new DataError('codec-symbol', 'the order of the symbols is none that this version knows')
  const zero = kind === 'offset' ? codeField(coder, estimates, 1, order.kind === 'offset' ? order.zero : 0) : 0
  const below = codeField(coder, estimates, 2, -low)
  const above = codeField(coder, estimates, 3, high)
  return {
    order: kind === 'offset' ? { kind, zero } : kind === 'ranked' ? { kind, below } : { kind: 'signed' },
    dependent: kind === 'dependent',
    low: below === 0 ? 0 : -below,
    high: above,
  }
}

/** A number of at most 17 bits: how many bits that plus one has, unary and adaptive; then the bits, the first adaptive. */
function codeField(coder: BinaryCoder, estimates: Estimates, field: number, value: number): number {
  const decide = (context: number, bit: number): number => {
    const coded = coder.code(estimates.one(context), bit)
    estimates.learn(context, coded)
    return coded
  }
  const base = field * FIELD_CONTEXTS
  const bits = 31 - Math.clz32(value + 1)
  let length = 0
  while (length < LONGEST && decide(base + length, bits > length ? 1 : 0) === 1) length++
  let coded = 1
  for (let level = length - 1; level >= 0; level--) {
    const bit = ((value + 1) >> level) & 1
    coded = coded * 2 + (coded < 16 ? decide(base + 24 + coded + (length > 4 ? 16 : 0), bit) : coder.code(32768, bit))
  }
  return coded - 1
}
