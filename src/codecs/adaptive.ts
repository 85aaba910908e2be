import { codedBy, type BinaryCoder } from './binary-coder.ts'
import { bitsFor } from './bit-io.ts'
import { defineCodec, type Symbols } from './codec.ts'
import { Estimates } from './estimates.ts'
import { neighbourhood, zeroNeighbours } from './neighbours.ts'

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

function runModel(coder: BinaryCoder, symbols: Symbols, alphabet: number, shape?: readonly number[]): void {
  if (alphabet < 2) return
  const hood = neighbourhood(shape, symbols.length)
  const bits = bitsFor(alphabet)
  const nodes = 1 << bits
  const flags = 32
  const estimates = new Estimates(flags + 4 * nodes)
  const decide = (index: number, bit: number): number => {
    const coded = coder.code(estimates.one(index), bit)
    estimates.learn(index, coded)
    return coded
  }
  let last = 0
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i]
    if (decide(zeroNeighbours(symbols, i, hood), symbol === 0 ? 1 : 0) === 1) {
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
