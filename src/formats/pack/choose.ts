/** Which codec a stream gets: the smallest of those allowed, measured on the stream or, where it is long, a part of it. */
import { histogramEntropy } from '../../codecs/accounting.ts'
import { bitsFor } from '../../codecs/bit-io.ts'
import { histogram } from '../../codecs/canonical.ts'
import { symbolArray, takesAlphabet, type Codec, type Symbols } from '../../codecs/codec.ts'
import { codecs } from '../../codecs/index.ts'
import { nearestName, UsageError } from '../../errors.ts'
import type { Stream } from './content.ts'

/** What to encode, with the name of the part for messages. */
export interface StreamSource {
  readonly part: string
  readonly symbols: Symbols
  readonly alphabet: number
  readonly shape?: readonly number[]
  /** Candidates other than those of the choice. */
  readonly codecs?: readonly string[]
}

/** Encodes one stream after another and keeps account of the time that the slow codecs take. */
export interface Chooser {
  encode(source: StreamSource): Stream
}

/** Symbols up to which every codec is tried on the whole stream. */
const WHOLE = 1 << 20
/** Symbols of the part on which the codecs of longer streams are tried. */
const SAMPLE = 1 << 16
/** Binary decisions that `mixing` may take in one pack: some ten seconds. */
const MIXING_BUDGET = 2e7

const NONE = new Uint8Array(0)

/** What is tried where nothing is asked for; `text` and `magnitudes` are for contents that say so. */
const general = ['bits', 'huffman', 'relative', 'relative-huffman', 'adaptive', 'rans', 'mixing']

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
  let budget = MIXING_BUDGET
  return {
    encode({ part, symbols, alphabet, shape, codecs: asked }) {
      const counts = alphabet <= 65536 ? histogram(symbols, alphabet) : undefined
      const decisions = symbols.length + (symbols.length - (counts?.[0] ?? 0)) * bitsFor(alphabet)
      let names = (asked ?? allowed).filter((name) => takesAlphabet(codecs.get(name)!, alphabet))
      // Symbols that are as good as random cannot shrink: not one of the slow codecs is worth its time.
      const isNoise = counts !== undefined && histogramEntropy(counts) > 0.997 * bitsFor(alphabet) * symbols.length
      if (isNoise && symbols.length > 4096) names = ['bits']
      if (names.includes('mixing') && decisions > budget) names = names.filter((name) => name !== 'mixing')
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
    },
  }
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
