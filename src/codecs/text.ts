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
  runModel(coder, history, primer.length)
  return coder.finish()
}

/** @throws DataError when the bytes end early or are left over. */
export function decodeText(bytes: Uint8Array, count: number, primer: Uint8Array = NONE): Uint8Array {
  const coder = new ReadingCoder(bytes, 8 * count)
  const history = new Uint8Array(primer.length + count)
  history.set(primer)
  runModel(coder, history, primer.length)
  coder.end()
  return history.subarray(primer.length)
}

/** Learns the primer without writing anything. */
const learner: BinaryCoder = { decoding: false, code: (_one, bit) => bit }

const INPUTS = 10
const SHORTEST_MATCH = 4

function runModel(coder: BinaryCoder, history: Uint8Array, primed: number): void {
  if (history.length === primed) return
  const slotBits = Math.min(20, Math.max(14, bitsFor(history.length) + 4))
  const mixer = new ContextMixer({
    inputs: INPUTS,
    slotBits,
    weightSets: 3 * 8,
    slowest: 100,
    rate: 0.015,
    caution: 0.4,
  })
  const { bases, contexts } = mixer
  const matchBits = Math.min(18, slotBits)
  const matchTable = new Int32Array(1 << matchBits).fill(-1)
  let match = -1
  let matched = 0
  for (let i = 0; i < history.length; i++) {
    const active = i < primed ? learner : coder
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
    bases[6] = hashContext((i - primed) & 3, 6)
    bases[7] = hashContext(((i - primed) & 3) | (at(4) << 8), 7)
    bases[8] = hashContext(((i - primed) & 7) | (at(8) << 8), 8)
    const expected = match >= 0 ? history[match] | 256 : 0
    const strength = Math.min(matched, 16)
    const column = match < 0 ? 0 : matched < 12 ? 1 : 2
    const byte = history[i]
    let node = 1
    for (let level = 7; level >= 0; level--) {
      mixer.enter(node)
      const agrees = expected >> (level + 1) === node
      contexts[9] = agrees ? hashContext(((expected >> level) & 1) + 2 * strength, 9) : hashContext(node, 10)
      node = node * 2 + mixer.code(active, (agrees ? column : 0) * 8 + level, (byte >> level) & 1)
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
}
