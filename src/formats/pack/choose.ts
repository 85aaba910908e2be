/** Which codec a stream gets: the smallest of those allowed, measured on the stream or, where it is long, a part of it. */
import { histogramEntropy } from '../../codecs/accounting.ts'
import { bitsFor } from '../../codecs/bit-io.ts'
import { histogram } from '../../codecs/canonical.ts'
import { symbolArray, takesAlphabet, type Codec, type SymbolOrder, type Symbols } from '../../codecs/codec.ts'
import { codecs } from '../../codecs/index.ts'
import { MOST_NUMBERS } from '../../codecs/number-model.ts'
import { createPredictiveBudget, decisionsOf } from '../../codecs/predictive-budget.ts'
import { encodeTogether, predictive } from '../../codecs/predictive.ts'
import { nearestName, UsageError } from '../../errors.ts'
import { JOINT, type Stream } from './content.ts'

/** What to encode, with the name of the part for messages. */
export interface StreamSource {
  readonly part: string
  readonly symbols: Symbols
  readonly alphabet: number
  readonly shape?: readonly number[]
  /** How symbols are numbers: where it is given, models of numbers are tried. */
  readonly order?: SymbolOrder
  /** Candidates other than those of the choice. */
  readonly codecs?: readonly string[]
}

/** Encodes one stream after another and keeps account of the time that the slow codecs take. */
export interface Chooser {
  /** Whether numbers may be coded by a model that sees all of them. */
  readonly predicts: boolean
  /** Encodes now, unless the stream holds numbers: then its codec, length and bytes are there after `finish`. */
  encode(source: StreamSource): Stream
  /** Encodes the numbers, and tells of each of their streams. @returns The bytes of the joint stream; none where there is none. */
  finish(onStream?: (stream: Stream) => void): Uint8Array
}

/** Symbols up to which every codec is tried on the whole stream. */
const WHOLE = 1 << 20
/** Symbols of the part on which the codecs of longer streams are tried. */
const SAMPLE = 1 << 16
/** Binary decisions that `mixing` may take in one pack: some ten seconds. */
const MIXING_BUDGET = 2e7

/** Numbers up to which all tensors are coded together; where there are more, the large ones are on their own. */
const TOGETHER = 1 << 19
/** Numbers from which a tensor is large: it learns its own statistics, and threads can decode it. */
const LARGE = 1 << 15

/** What a stream of its own takes besides its bytes: its record. */
const RECORD = 2

const NONE = new Uint8Array(0)

/** What is tried where nothing is asked for; `text` and `magnitudes` are for contents that say so. */
const general = ['bits', 'huffman', 'relative', 'relative-huffman', 'adaptive', 'rans', 'mixing']

/** What numbers are tried with besides `predictive`. */
const quick = ['bits', 'huffman', 'relative-huffman', 'adaptive', 'rans']

/** What each value of `espalier.coding` allows besides the codec of that name. */
const companions: Readonly<Record<string, readonly string[]>> = {
  huffman: ['relative-huffman', 'bits'],
  'relative-huffman': ['huffman', 'bits'],
  relative: ['bits'],
}

/** @throws UsageError when `coding` is no codec. */
export function createChooser(coding: string | undefined): Chooser {
  if (coding !== undefined && !codecs.has(coding)) {
    const near = nearestName(coding, codecs.keys())
    throw new UsageError('pack-coding', `there is no coding called '${coding}'`, {
      place: 'espalier.coding',
      hint: near ? `Did you mean '${near}'?` : `Choose one of ${[...codecs.keys()].join(', ')}.`,
    })
  }
  const allowed = coding === undefined ? general : [coding, ...(companions[coding] ?? ['bits'])]
  const predicts = coding === undefined || coding === predictive.name
  let budget = MIXING_BUDGET
  const waiting: Waiting[] = []

  const encodeNow = ({ part, symbols, alphabet, shape, codecs: asked }: StreamSource): Stream => {
    const counts = alphabet <= 65536 ? histogram(symbols, alphabet) : undefined
    const decisions = symbols.length + (symbols.length - (counts?.[0] ?? 0)) * bitsFor(alphabet)
    let names = (asked ?? allowed).filter((name) => takesAlphabet(codecs.get(name)!, alphabet))
    // Symbols that are as good as random cannot shrink: not one of the slow codecs is worth its time.
    const isNoise = counts !== undefined && histogramEntropy(counts) > 0.997 * bitsFor(alphabet) * symbols.length
    if (isNoise && symbols.length > 4096) names = ['bits']
    if (names.includes('mixing') && decisions > budget) names = names.filter((name) => name !== 'mixing')
    if (symbols.length > MOST_NUMBERS) names = names.filter((name) => name !== predictive.name)
    // Index forms are for streams that are mostly zeros.
    if (asked === undefined && coding === undefined && counts && counts[0] < symbols.length / 2)
      names = names.filter((name) => !name.startsWith('relative'))
    const whole = symbols.length <= WHOLE
    const trial = whole ? { symbols, alphabet, shape } : sampleOf(symbols, alphabet, shape)
    let best: { codec: Codec; bytes: Uint8Array } | undefined
    for (const name of names) {
      const codec = codecs.get(name)!
      const bytes = names.length === 1 && !whole ? NONE : codec.encode(trial)
      if (!best || bytes.length < best.bytes.length) best = { codec, bytes }
    }
    const { codec } = best!
    if (names.includes('mixing')) budget -= decisions
    const bytes = whole ? best!.bytes : codec.encode({ symbols, alphabet, shape })
    return { part, codec: codec.id, count: symbols.length, alphabet, shape, length: bytes.length, bytes }
  }

  /** Settles a stream as one of its own. */
  const settle = (stream: Stream, { codec, length, bytes }: Pick<Stream, 'codec' | 'length' | 'bytes'>): void => {
    stream.codec = codec
    stream.length = length
    stream.bytes = bytes
  }

  return {
    predicts,
    encode(source) {
      if (!predicts || !source.order) return encodeNow(source)
      const { part, symbols, alphabet, shape } = source
      const stream: Stream = { part, codec: JOINT, count: symbols.length, alphabet, shape, length: 0 }
      waiting.push({ source, stream })
      return stream
    },
    finish(onStream) {
      const settled = (stream: Stream, as: Pick<Stream, 'codec' | 'length' | 'bytes'>) => {
        settle(stream, as)
        onStream?.(stream)
      }
      const affordable = withinBudget(waiting)
      for (const { source, stream } of waiting)
        if (!affordable.has(stream)) settled(stream, encodeNow({ ...source, codecs: source.codecs ?? general }))
      const modelled = waiting.filter(({ stream }) => affordable.has(stream))
      const total = modelled.reduce((sum, { stream }) => sum + stream.count, 0)
      const isAlone = ({ stream }: Waiting) => total > TOGETHER && stream.count >= LARGE
      const otherwise = ({ source }: Waiting) =>
        coding === undefined ? encodeNow({ ...source, codecs: quick }) : undefined
      for (const one of modelled.filter(isAlone)) {
        const bytes = predictive.encode(one.source)
        const other = otherwise(one)
        if (other && other.length < bytes.length) settled(one.stream, other)
        else settled(one.stream, { codec: predictive.id, length: bytes.length, bytes })
      }
      let together = modelled.filter((one) => !isAlone(one))
      const others = new Map(together.map((one) => [one, otherwise(one)]))
      while (together.length > 0) {
        const { bytes, ends } = encodeTogether(together.map(({ source }) => source))
        const worse = together.filter((one, i) => {
          const other = others.get(one)
          return other !== undefined && other.length + RECORD < ends[i] - (ends[i - 1] ?? 0)
        })
        if (worse.length === 0) {
          for (const { stream } of together) onStream?.(stream)
          return bytes
        }
        for (const one of worse) settled(one.stream, others.get(one)!)
        together = together.filter((one) => !worse.includes(one))
      }
      return NONE
    },
  }
}

/** Numbers that wait for those after them. */
interface Waiting {
  readonly source: StreamSource
  readonly stream: Stream
}

/** The streams that `predictive` has time for: where not for all, not for the largest. */
function withinBudget(waiting: readonly Waiting[]): ReadonlySet<Stream> {
  const costs = waiting.map(({ source: { symbols, alphabet }, stream }) => ({
    stream,
    decisions: decisionsOf(symbols, alphabet),
  }))
  costs.sort((a, b) => a.decisions - b.decisions)
  const budget = createPredictiveBudget()
  return new Set(
    costs.filter(({ stream, decisions }) => budget.fits(stream.count, decisions)).map(({ stream }) => stream),
  )
}

/** A run of whole filters, or simply symbols, from the middle of the stream. */
function sampleOf(symbols: Symbols, alphabet: number, shape: readonly number[] | undefined) {
  const rows = shape !== undefined && shape.length > 1 ? shape[0] : 1
  const row = symbols.length / rows
  const wanted = Math.max(1, Math.min(rows, Math.floor(SAMPLE / row)))
  if (rows > 1 && row <= 4 * SAMPLE) {
    const start = Math.floor((rows - wanted) / 2) * row
    const part = copy(symbols, alphabet, start, start + wanted * row)
    return { symbols: part, alphabet, shape: [wanted, ...shape!.slice(1)] }
  }
  const start = Math.max(0, Math.floor((symbols.length - SAMPLE) / 2))
  return { symbols: copy(symbols, alphabet, start, start + SAMPLE), alphabet, shape: undefined }
}

function copy(symbols: Symbols, alphabet: number, start: number, end: number): Symbols {
  const part = symbolArray(alphabet, end - start)
  part.set(symbols.subarray(start, end))
  return part
}
