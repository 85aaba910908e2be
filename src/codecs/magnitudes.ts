import { DataError } from '../errors.ts'
import type { BinaryCoder } from './binary-coder.ts'
import { ReadingCoder, WritingCoder } from './binary-coder.ts'
import { defineCodec, symbolArray, type Symbols } from './codec.ts'

/**
 * Numbers of up to 32 bits by their size: the number of bits of symbol + 1, in six adaptive decisions that know the
 * size before; then the two bits below the leading one, adaptive for each size; the rest as it is.
 */
export const magnitudes = defineCodec({
  name: 'magnitudes',
  id: 7,
  summary: 'Codes large numbers by their size, adaptively, and their lower bits as they are: for sorted codebooks.',
  maxAlphabet: 2 ** 32,
  encode({ symbols }) {
    const coder = new WritingCoder()
    runModel(coder, symbols, 2 ** 32)
    return coder.finish()
  },
  decode(bytes, count, alphabet) {
    const coder = new ReadingCoder(bytes, count)
    const symbols = symbolArray(alphabet, count)
    runModel(coder, symbols, alphabet)
    coder.end()
    return symbols
  },
})

const SIZE_BITS = 6
const MODELLED = 2

function runModel(coder: BinaryCoder, symbols: Symbols, alphabet: number): void {
  const sizes = createModel(64 * 64)
  const tops = createModel(64 << MODELLED)
  let previous = 0
  for (let i = 0; i < symbols.length; i++) {
    const value = symbols[i] + 1
    const size = value >= 2 ** 32 ? 33 : 32 - Math.clz32(value)
    let node = 1
    for (let level = SIZE_BITS - 1; level >= 0; level--)
      node = node * 2 + decide(coder, sizes, previous * 64 + node, (size >> level) & 1)
    const codedSize = node - 64
    if (codedSize < 1 || codedSize > 33)
      throw new DataError('codec-symbol', `a number of ${codedSize} bits is out of range`)
    previous = codedSize
    let result = 1
    let prefix = 1
    for (let level = codedSize - 2; level >= 0; level--) {
      const bit = Math.floor(value / 2 ** level) % 2
      if (codedSize - 2 - level < MODELLED) {
        const coded = decide(coder, tops, (codedSize << MODELLED) + prefix, bit)
        prefix = prefix * 2 + coded
        result = result * 2 + coded
      } else result = result * 2 + coder.code(32768, bit)
    }
    if (result > alphabet) throw new DataError('codec-symbol', `symbol ${result - 1} is not below ${alphabet}`)
    symbols[i] = result - 1
  }
}

interface Model {
  readonly one: Uint16Array
  readonly seen: Uint8Array
}

function createModel(size: number): Model {
  return { one: new Uint16Array(size).fill(32768), seen: new Uint8Array(size) }
}

/** An adaptive decision: an average over the first 30, then a slow drift. */
function decide(coder: BinaryCoder, model: Model, index: number, bit: number): number {
  const one = Math.min(65000, Math.max(536, model.one[index]))
  const coded = coder.code(one, bit)
  const step = model.seen[index] + 1.6
  model.one[index] += Math.trunc(((coded === 1 ? 65535 : 0) - model.one[index]) / step)
  if (model.seen[index] < 30) model.seen[index]++
  return coded
}
