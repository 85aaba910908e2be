import type { BinaryCoder } from './binary-coder.ts'
import { ReadingCoder, WritingCoder } from './binary-coder.ts'
import { bitsFor } from './bit-io.ts'
import { defineCodec, symbolArray, type Symbols } from './codec.ts'
import { neighbourhood } from './neighbours.ts'

/**
 * A binary range coder with adaptive probabilities. A symbol is a flag, whether it is 0, and, if not, its bits from
 * the top, every one with the bits above it as context. The flag's context: which of the neighbours in the tensor (the
 * two symbols before, the row above in the kernel, the same place in the previous input and output channel) are 0;
 * the bits' context: the quarter of the alphabet in which the last symbol other than 0 lay.
 * Every probability is the mean of a fast and a slow estimate.
 */
export const adaptive = defineCodec({
  name: 'adaptive',
  id: 5,
  summary: 'Codes symbols by adaptive binary probabilities that know whether the neighbours in the tensor are zero.',
  encode({ symbols, alphabet, shape }) {
    const coder = new WritingCoder()
    runModel(coder, symbols, alphabet, shape)
    return coder.finish()
  },
  decode(bytes, count, alphabet, shape) {
    const coder = new ReadingCoder(bytes)
    const symbols = symbolArray(alphabet, count)
    runModel(coder, symbols, alphabet, shape)
    coder.end()
    return symbols
  },
})

const FAST = 4
const SLOW = 7

function runModel(coder: BinaryCoder, symbols: Symbols, alphabet: number, shape?: readonly number[]): void {
  if (alphabet < 2) return
  const { window, row, filter } = neighbourhood(shape, symbols.length)
  const bits = bitsFor(alphabet)
  const nodes = 1 << bits
  const flags = 32
  const fast = new Uint16Array(flags + 4 * nodes).fill(32768)
  const slow = new Uint16Array(flags + 4 * nodes).fill(32768)
  const decide = (index: number, bit: number): number => {
    const one = (fast[index] + slow[index]) >>> 1
    const coded = coder.code(one < 32 ? 32 : one > 65504 ? 65504 : one, bit)
    if (coded === 1) {
      fast[index] += (65535 - fast[index]) >> FAST
      slow[index] += (65535 - slow[index]) >> SLOW
    } else {
      fast[index] -= fast[index] >> FAST
      slow[index] -= slow[index] >> SLOW
    }
    return coded
  }
  let last = 0
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i]
    let context = 0
    if (i > 0 && symbols[i - 1] === 0) context |= 1
    if (i > 1 && symbols[i - 2] === 0) context |= 2
    if (row > 1 && i >= row && symbols[i - row] === 0) context |= 4
    if (window > 1 && i >= window && symbols[i - window] === 0) context |= 8
    if (i >= filter && symbols[i - filter] === 0) context |= 16
    if (decide(context, symbol === 0 ? 1 : 0) === 1) {
      symbols[i] = 0
      continue
    }
    if (alphabet === 2) {
      symbols[i] = 1
      continue
    }
    const base = flags + last * nodes
    let node = 1
    for (let level = bits - 1; level >= 0; level--) {
      // What cannot be below the alphabet is not asked; nor is 0, which the flag has ruled out.
      const low = node << (level + 1)
      if (low - nodes + (1 << level) >= alphabet) node = node * 2
      else if (level === 0 && node === nodes >> 1) node = node * 2 + 1
      else node = node * 2 + decide(base + node, (symbol >> level) & 1)
    }
    const value = node - nodes
    symbols[i] = value
    last = bits > 2 ? value >> (bits - 2) : value
  }
}
