import { codedBy, type BinaryCoder } from './binary-coder.ts'
import { bitsFor } from './bit-io.ts'
import { defineCodec, type Symbols } from './codec.ts'
import { ContextMixer, hashContext } from './context-mixer.ts'
import { neighbourhood } from './neighbours.ts'

/**
 * A binary range coder whose probabilities come from several contexts at once, mixed. A symbol is a flag, whether it
 * is 0, and, if not, its bits from the top. About a tenth of the speed of `adaptive`, and smaller wherever the density
 * of a tensor depends on its rows, columns or places in the kernel, as after pruning.
 */
export const mixing = defineCodec({
  name: 'mixing',
  id: 6,
  summary:
    'Codes symbols by binary probabilities mixed from rows, columns, kernel places and neighbours of the tensor.',
  ...codedBy(runModel),
})

const INPUTS = 8

function runModel(coder: BinaryCoder, symbols: Symbols, alphabet: number, shape?: readonly number[]): void {
  if (alphabet < 2 || symbols.length === 0) return
  const count = symbols.length
  const { window, row, filter } = neighbourhood(shape, count)
  const bits = bitsFor(alphabet)
  const nodes = 1 << bits
  const slotBits = Math.min(20, Math.max(10, bitsFor(count) + 2))
  const flags = new ContextMixer({ inputs: INPUTS, slotBits, weightSets: 1, slowest: 254, rate: 0.004, caution: 2 })
  const trees = new ContextMixer({
    inputs: INPUTS,
    slotBits,
    weightSets: bits + 1,
    slowest: 254,
    rate: 0.006,
    caution: 2,
  })
  const classShift = Math.max(0, bits - 4)
  const at = (i: number, distance: number): number => (i >= distance ? symbols[i - distance] : 0)
  const flagContexts = flags.contexts
  const { bases } = trees
  let last = 0
  let beforeLast = 0
  // The recent share of symbols other than 0 in 1/65,536ths, over some 16 and some 128 symbols.
  let recent = 32768
  let steady = 32768
  for (let i = 0; i < count; i++) {
    const symbol = symbols[i]
    const column = i % filter
    const place = column % window
    const channel = (column / window) | 0
    const output = (i / filter) | 0
    const left = at(i, 1)
    const left2 = at(i, 2)
    const up = row > 1 ? at(i, row) : 0
    const behind = window > 1 ? at(i, window) : at(i, 3)
    const behind2 = window > 1 ? at(i, 2 * window) : at(i, 4)
    const before = at(i, filter)
    const before2 = at(i, 2 * filter)
    const zeros =
      (left === 0 ? 1 : 0) |
      (left2 === 0 ? 2 : 0) |
      (up === 0 ? 4 : 0) |
      (behind === 0 ? 8 : 0) |
      (behind2 === 0 ? 16 : 0) |
      (before === 0 ? 32 : 0) |
      (before2 === 0 ? 64 : 0)
    flagContexts[0] = hashContext(place, 0)
    flagContexts[1] = hashContext(zeros, 1)
    flagContexts[2] = hashContext(column, 2)
    flagContexts[3] = hashContext(channel, 3)
    flagContexts[4] = hashContext(output, 4)
    flagContexts[5] = hashContext((recent >> 12) | ((steady >> 12) << 4), 5)
    flagContexts[6] = hashContext((left >> classShift) | ((before >> classShift) << 8), 6)
    flagContexts[7] = hashContext((zeros & 0x39) | (place << 8), 7)
    const isZero = flags.code(coder, 0, symbol === 0 ? 1 : 0)
    if (isZero === 1) {
      recent -= recent >> 4
      steady -= steady >> 7
      symbols[i] = 0
      continue
    }
    recent += (65535 - recent) >> 4
    steady += (65535 - steady) >> 7
    if (alphabet === 2) {
      symbols[i] = 1
      continue
    }
    bases[0] = 0
    bases[1] = hashContext(last >> classShift, 11)
    bases[2] = hashContext(place, 12)
    bases[3] = hashContext(before >> classShift, 13)
    bases[4] = hashContext((left >> classShift) | ((behind >> classShift) << 8), 14)
    bases[5] = hashContext(output, 15)
    bases[6] = hashContext(channel, 16)
    bases[7] = hashContext((last >> classShift) | ((beforeLast >> classShift) << 8), 17)
    let node = 1
    for (let level = bits - 1; level >= 0; level--) {
      // What cannot be below the alphabet is not asked; nor is 0, which the flag has ruled out.
      const low = node << (level + 1)
      if (low - nodes + (1 << level) >= alphabet) node = node * 2
      else if (level === 0 && node === nodes >> 1) node = node * 2 + 1
      else {
        trees.enter(node)
        node = node * 2 + trees.code(coder, bits - level, (symbol >> level) & 1)
      }
    }
    symbols[i] = node - nodes
    beforeLast = last
    last = node - nodes
  }
}
