/** From the bytes of a tensor to the kind that makes the smallest file. */
import { histogramEntropy } from '../../codecs/accounting.ts'
import { histogram } from '../../codecs/canonical.ts'
import { symbolArray, type SymbolOrder, type Symbols } from '../../codecs/codec.ts'
import type { Chooser } from './choose.ts'
import { LARGEST_PALETTE, symbolCount, type Content, type ContentHeader } from './content.ts'
import { distinctWords, orderedKey, splitPlanes, toSteps, toSymbols, toWords, type Words } from './elements.ts'

/** Contents of up to this many bytes go to the shared stream, unless they are sorted. */
const SMALL = 512

/** What a stream costs besides its symbols: its record, and the end of its coder. */
const STREAM_BITS = 40

/** A content together with the parts of it that the shared stream takes, in order. */
export interface Encoded {
  readonly content: Content
  readonly shared: readonly Uint8Array[]
}

/** Chooses the kind and encodes. `bytes` is the content of the header's length. */
export function encodeContent(bytes: Uint8Array, header: ContentHeader, chooser: Chooser): Encoded {
  const { element, shape, length } = header
  if (element.form !== 'float' || element.bits < 8) {
    const asNumbers = chooser.predicts && element.form !== 'float' && (element.bits <= 16 || length > SMALL)
    if (length <= SMALL && !asNumbers) return shared(bytes)
    const coded = toSymbols(bytes, element, symbolCount(element, shape, length))
    if (!coded) return length <= SMALL ? shared(bytes) : planes(bytes, header, chooser)
    if (asNumbers) {
      const order = orderOf(coded.symbols, coded.alphabet, element)
      const codes = chooser.encode({ part: 'codes', ...coded, shape, order })
      return { content: { kind: 'symbols', codes }, shared: [] }
    }
    const codes = chooser.encode({ part: 'codes', ...coded, shape })
    return { content: { kind: 'symbols', codes }, shared: [] }
  }
  if (element.width > 4) return length <= SMALL ? shared(bytes) : planes(bytes, header, chooser)
  return encodeFloats(bytes, toWords(bytes, element.width), header, chooser)
}

function encodeFloats(bytes: Uint8Array, words: Words, header: ContentHeader, chooser: Chooser): Encoded {
  const { element, shape, length } = header
  const zeros = countZeros(words)
  const distinct = distinctWords(words, Math.min(LARGEST_PALETTE, Math.max(1, words.length >> 2)))
  if (distinct?.size === 1 && words.length > 1 && element.width > 1) return palette(words, distinct, header, chooser)
  const isAscending = words.length >= 8 && countDescents(words, element) <= 1
  const small = length <= SMALL
  if (isAscending) {
    const steps = chooser.encode({
      part: 'steps',
      symbols: toSteps(words, element),
      alphabet: 256 ** element.width,
      codecs: ['magnitudes'],
    })
    // What the bytes cost elsewhere: a little under their number, for sign and exponent.
    if (steps.length + 3 < 0.8 * length) return { content: { kind: 'ascending', steps }, shared: [] }
  }
  if (small && !(distinct && distinct.size <= 16 && words.length >= 8 * distinct.size)) return shared(bytes)
  if (element.width === 1) {
    const codes = chooser.encode({ part: 'codes', symbols: words, alphabet: 256, shape })
    return { content: { kind: 'symbols', codes }, shared: [] }
  }
  const planeBits = estimatePlanes(bytes, header)
  const paletteBits = distinct
    ? histogramEntropy(Float64Array.from(distinct.values())) + distinct.size * (8 * element.width - 6) + STREAM_BITS
    : Infinity
  const nonzero = words.length - zeros
  const rest = zeros > 0 && nonzero > 0 ? withoutZeros(words, nonzero) : undefined
  const maskedBits = rest
    ? histogramEntropy(Float64Array.of(zeros, nonzero)) + estimatePlanes(rest, header) + STREAM_BITS
    : Infinity
  if (paletteBits <= Math.min(planeBits, maskedBits)) return palette(words, distinct!, header, chooser)
  return rest && maskedBits < planeBits ? masked(words, rest, header, chooser) : planes(bytes, header, chooser)
}

/** Signed numbers are around 0, others around what is most frequent. */
function orderOf(symbols: Symbols, alphabet: number, element: ContentHeader['element']): SymbolOrder {
  if (element.form === 'signed') return { kind: 'signed' }
  const counts = histogram(symbols, alphabet)
  return { kind: 'offset', zero: counts.indexOf(counts.reduce((most, count) => Math.max(most, count))) }
}

function shared(bytes: Uint8Array): Encoded {
  return { content: { kind: 'shared', length: bytes.length }, shared: [bytes] }
}

function planes(bytes: Uint8Array, header: ContentHeader, chooser: Chooser): Encoded {
  const coded = splitPlanes(bytes, header.element).map((symbols, i) =>
    chooser.encode({ part: `plane ${i}`, symbols, alphabet: 256, shape: header.shape }),
  )
  return { content: { kind: 'planes', planes: coded }, shared: [] }
}

/**
 * The codebook ascends, but what fills a quarter of the tensor or more comes first: coders know symbol 0 as the one
 * that pruning leaves.
 */
function palette(words: Words, distinct: Map<number, number>, header: ContentHeader, chooser: Chooser): Encoded {
  const { element, shape } = header
  const values = [...distinct.keys()].sort((a, b) => orderedKey(a, element) - orderedKey(b, element))
  const common = values.reduce((best, value) => (distinct.get(value)! > distinct.get(best)! ? value : best))
  // What is below 0, for models of numbers; the zero that comes first has as many below it.
  let order: SymbolOrder = {
    kind: 'offset',
    zero: Math.max(
      0,
      values.findIndex((value) => orderedKey(value, element) >= orderedKey(0, element)),
    ),
  }
  if (distinct.get(common)! * 4 >= words.length) {
    order = { kind: 'ranked', below: values.indexOf(common) }
    values.splice(values.indexOf(common), 1)
    values.unshift(common)
  }
  const index = new Map(values.map((value, i) => [value, i]))
  const codes = symbolArray(values.length, words.length)
  for (let i = 0; i < words.length; i++) codes[i] = index.get(words[i])!
  const book = element.width === 2 ? Uint16Array.from(values) : Uint32Array.from(values)
  const bookBytes = new Uint8Array(book.buffer)
  const inner = { element, shape: [values.length], length: bookBytes.length }
  const codebook = encodeBook(bookBytes, book, inner, chooser)
  const stream = chooser.encode({
    part: 'codes',
    symbols: codes,
    alphabet: values.length,
    shape,
    // A single value needs no model.
    order: values.length > 1 ? order : undefined,
  })
  return {
    content: { kind: 'palette', codebook: codebook.content, size: values.length, codes: stream },
    shared: codebook.shared,
  }
}

/** A codebook is sorted and has no value twice: ascending where that pays, else as small contents are. */
function encodeBook(bytes: Uint8Array, words: Words, header: ContentHeader, chooser: Chooser): Encoded {
  if (words.length < 8) return shared(bytes)
  const alphabet = 256 ** header.element.width
  const symbols = toSteps(words, header.element)
  const steps = chooser.encode({ part: 'codebook', symbols, alphabet, codecs: ['magnitudes'] })
  return { content: { kind: 'ascending', steps }, shared: [] }
}

function masked(words: Words, rest: Uint8Array, header: ContentHeader, chooser: Chooser): Encoded {
  const { element, shape } = header
  const bits = new Uint8Array(words.length)
  for (let i = 0; i < words.length; i++) bits[i] = words[i] === 0 ? 0 : 1
  const mask = chooser.encode({
    part: 'mask',
    symbols: bits,
    alphabet: 2,
    shape,
    order: { kind: 'offset', zero: 0 },
  })
  const nonzero = rest.length / element.width
  const inner = { element, shape: [nonzero], length: rest.length }
  const values = rest.length <= SMALL ? shared(rest) : planes(rest, inner, chooser)
  return { content: { kind: 'masked', nonzero, mask, values: values.content }, shared: values.shared }
}

/** The bytes of the elements other than zero, of which there are `nonzero`: `filter` would gather them as objects. */
function withoutZeros(words: Words, nonzero: number): Uint8Array {
  const rest = new (words.constructor as new (length: number) => Words)(nonzero)
  let at = 0
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) rest[at++] = words[i]
  return new Uint8Array(rest.buffer)
}

function countZeros(words: Words): number {
  let zeros = 0
  for (let i = 0; i < words.length; i++) if (words[i] === 0) zeros++
  return zeros
}

function countDescents(words: Words, element: ContentHeader['element']): number {
  let descents = 0
  for (let i = 1; i < words.length && descents < 2; i++)
    if (orderedKey(words[i], element) < orderedKey(words[i - 1], element)) descents++
  return descents
}

/** Bits that the planes need under one probability a byte value each; from a part of long contents. */
function estimatePlanes(bytes: Uint8Array, { element }: ContentHeader): number {
  const most = 1 << 20
  const part = bytes.length <= most ? bytes : bytes.subarray(0, most)
  let bits = element.width * STREAM_BITS
  for (const plane of splitPlanes(part, element)) {
    // A table of its own costs a plane what it has different values.
    const counts = histogram(plane, 256)
    bits += Math.min(plane.length * 8, histogramEntropy(counts) + 4 * counts.filter((count) => count > 0).length)
  }
  return (bits * bytes.length) / Math.max(1, part.length)
}
