import { codedBy, type BinaryCoder } from './binary-coder.ts'
import { bitsFor } from './bit-io.ts'
import { defineCodec, type Symbols } from './codec.ts'
import { neighbourhood } from './neighbours.ts'

/**
 * A binary range coder with adaptive probabilities. A symbol is a flag, whether it is 0, and, if not, its bits from
 * the top, every one with the bits above it as context. The flag's context: which of the neighbours in the tensor (the
 * two symbols before, the row above in the kernel, the same place in the previous input and output channel) are 0;
 * the bits' context: the quarter of the alphabet in which the last symbol other than 0 lay.
 * Every probability is the mean of a quick and a slow estimate.
 */
export const adaptive = defineCodec({
  name: 'adaptive',
  id: 5,
  summary: 'Codes symbols by adaptive binary probabilities that know whether the neighbours in the tensor are zero.',
  ...codedBy(runModel),
})

/** The least probability of a decision, in 65,536ths. */
const LEAST = 32
/** Decisions after which the slow estimate is an average no longer: it goes on in steps of one to this many. */
const SLOWEST = 250
/** 16,384ths that the quick estimate moves at least. */
const QUICKEST = 16384 >> 5

/** 16,384 / (n + 1.5): the first steps of both estimates are those of an average. */
const steps = Int32Array.from({ length: SLOWEST + 1 }, (_, n) => Math.floor(16384 / (n + 1.5)))

function runModel(coder: BinaryCoder, symbols: Symbols, alphabet: number, shape?: readonly number[]): void {
  if (alphabet < 2) return
  const { window, row, filter } = neighbourhood(shape, symbols.length)
  const bits = bitsFor(alphabet)
  const nodes = 1 << bits
  const flags = 32
  const quick = new Uint16Array(flags + 4 * nodes).fill(32768)
  const slow = new Uint16Array(flags + 4 * nodes).fill(32768)
  const seen = new Uint8Array(flags + 4 * nodes)
  const decide = (index: number, bit: number): number => {
    const one = (quick[index] + slow[index]) >>> 1
    const coded = coder.code(one < LEAST ? LEAST : one > 65536 - LEAST ? 65536 - LEAST : one, bit)
    const step = steps[seen[index]]
    const target = coded === 1 ? 65535 : 0
    quick[index] += ((target - quick[index]) * (step < QUICKEST ? QUICKEST : step)) >> 14
    slow[index] += ((target - slow[index]) * step) >> 14
    if (seen[index] < SLOWEST) seen[index]++
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
