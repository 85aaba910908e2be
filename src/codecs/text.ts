import { DataError } from '../errors.ts'
import type { BinaryCoder } from './binary-coder.ts'
import { ReadingCoder, WritingCoder } from './binary-coder.ts'
import { bitsFor } from './bit-io.ts'
import { asBytes, defineCodec } from './codec.ts'
import { ContextMixer, hashContext } from './context-mixer.ts'

/**
 * A general coder of bytes: each bit is predicted from the last one to six bytes, from the bytes four and eight before
 * (columns of numbers), and from what followed the longest match of the recent bytes; the predictions are mixed.
 * Meant for what is small and varied: the graph, names, shape constants, biases.
 */
export const text = defineCodec({
  name: 'text',
  id: 8,
  summary: 'Codes bytes by mixing predictions from the bytes before: for names, the graph and small constants.',
  maxAlphabet: 256,
  encode: ({ symbols }) => encodeText(asBytes(symbols)),
  decode(bytes, count, alphabet) {
    const symbols = decodeText(bytes, count)
    if (alphabet < 256)
      for (const symbol of symbols)
        if (symbol >= alphabet) throw new DataError('codec-symbol', `symbol ${symbol} is not below ${alphabet}`)
    return symbols
  },
})

const NONE = new Uint8Array(0)

/** Encodes bytes by a model that has seen `primer` before; the decoder needs the same primer. */
export function encodeText(bytes: Uint8Array, primer: Uint8Array = NONE): Uint8Array {
  const coder = new WritingCoder()
  const history = new Uint8Array(primer.length + bytes.length)
  history.set(primer)
  history.set(bytes, primer.length)
  if (bytes.length > 0) modelAfter(primer, history.length).run(coder, history, primer.length)
  return coder.finish()
}

/** @throws DataError when the bytes end early or are left over. */
export function decodeText(bytes: Uint8Array, count: number, primer: Uint8Array = NONE): Uint8Array {
  const coder = new ReadingCoder(bytes, 8 * count)
  const history = new Uint8Array(primer.length + count)
  history.set(primer)
  if (count > 0) modelAfter(primer, history.length).run(coder, history, primer.length)
  coder.end()
  return history.subarray(primer.length)
}

/** Learns the primer without writing anything. */
const learner: BinaryCoder = { decoding: false, code: (_one, bit) => bit }

/** The model that has learnt a primer last: heads of packs are many, and their primer is one. */
let latest: { readonly primer: Uint8Array; readonly slotBits: number; readonly model: TextModel } | undefined

/** A model that has learnt the primer. @param length Bytes of the primer and of what follows. */
function modelAfter(primer: Uint8Array, length: number): TextModel {
  // Small tables are soon copied; what is as long as this takes longer anyway.
  const isShort = primer.length > 0 && length < 2 ** 14
  const slotBits = isShort ? 16 : Math.min(20, Math.max(14, bitsFor(length) + 4))
  if (primer.length === 0) return new TextModel(slotBits, 0)
  if (latest?.primer !== primer || latest.slotBits !== slotBits) {
    const model = new TextModel(slotBits, primer.length)
    model.run(learner, primer, 0)
    latest = { primer, slotBits, model }
  }
  return latest.model.copy()
}

const INPUTS = 10
const SHORTEST_MATCH = 4

class TextModel {
  private readonly slotBits: number
  /** Where the bytes to be coded begin, to which columns are counted. */
  private readonly origin: number
  private readonly mixer: ContextMixer
  private readonly matchBits: number
  private readonly matchTable: Int32Array
  private match: number
  private matched: number

  /** @param learnt A model of the same settings, to go on from what it has learnt. */
  constructor(slotBits: number, origin: number, learnt?: TextModel) {
    this.slotBits = slotBits
    this.origin = origin
    const settings = { inputs: INPUTS, slotBits, weightSets: 3 * 8, slowest: 100, rate: 0.015, caution: 0.4 }
    this.mixer = learnt ? learnt.mixer.copy() : new ContextMixer(settings)
    this.matchBits = Math.min(18, slotBits)
    this.matchTable = learnt ? learnt.matchTable.slice() : new Int32Array(1 << this.matchBits).fill(-1)
    this.match = learnt?.match ?? -1
    this.matched = learnt?.matched ?? 0
  }

  copy(): TextModel {
    return new TextModel(this.slotBits, this.origin, this)
  }

  /** Codes the bytes of `history` after the first `start`, which it fills when decoding. */
  run(coder: BinaryCoder, history: Uint8Array, start: number): void {
    const { origin, mixer, matchBits, matchTable } = this
    const { bases, contexts } = mixer
    let { match, matched } = this
    for (let i = start; i < history.length; i++) {
      const at = (distance: number): number => (i >= distance ? history[i - distance] : 0)
      const two = at(1) | (at(2) << 8)
      const three = two | (at(3) << 16)
      const four = three | (at(4) << 24)
      bases[0] = 0
      bases[1] = hashContext(at(1), 1)
      bases[2] = hashContext(two, 2)
      bases[3] = hashContext(three, 3)
      bases[4] = hashContext(four, 4)
      bases[5] = hashContext(four, hashContext(at(5) | (at(6) << 8), 5))
      bases[6] = hashContext((i - origin) & 3, 6)
      bases[7] = hashContext(((i - origin) & 3) | (at(4) << 8), 7)
      bases[8] = hashContext(((i - origin) & 7) | (at(8) << 8), 8)
      const expected = match >= 0 ? history[match] | 256 : 0
      const strength = Math.min(matched, 16)
      const column = match < 0 ? 0 : matched < 12 ? 1 : 2
      const byte = history[i]
      let node = 1
      for (let level = 7; level >= 0; level--) {
        mixer.enter(node)
        const agrees = expected >> (level + 1) === node
        contexts[9] = agrees ? hashContext(((expected >> level) & 1) + 2 * strength, 9) : hashContext(node, 10)
        node = node * 2 + mixer.code(coder, (agrees ? column : 0) * 8 + level, (byte >> level) & 1)
      }
      history[i] = node - 256
      if (match >= 0 && history[match] === history[i]) {
        match++
        matched++
      } else {
        match = -1
        matched = 0
      }
      if (i + 1 < SHORTEST_MATCH) continue
      const recent = history[i] | (history[i - 1] << 8) | (history[i - 2] << 16) | (history[i - 3] << 24)
      const key = hashContext(recent, 20) >>> (32 - matchBits)
      if (match < 0 && matchTable[key] >= 0) {
        match = matchTable[key]
        while (
          matched < 16 &&
          matched <= i &&
          match - 1 - matched >= 0 &&
          history[match - 1 - matched] === history[i - matched]
        )
          matched++
        if (matched < SHORTEST_MATCH) match = -1
        if (match < 0) matched = 0
      }
      matchTable[key] = i + 1
    }
    this.match = match
    this.matched = matched
  }
}
