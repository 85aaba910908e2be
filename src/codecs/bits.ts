import { DataError } from '../errors.ts'
import { bitsFor, checkBitEnd, createBitWriter } from './bit-io.ts'
import { defineCodec, symbolArray } from './codec.ts'

/** The plainest form: every symbol in the bits that its alphabet needs, so 0 for one symbol and 8 for 256. */
export const bits = defineCodec({
  name: 'bits',
  id: 1,
  summary: 'Packs every symbol into the fewest whole bits that its alphabet needs.',
  isStatic: true,
  encode({ symbols, alphabet }) {
    const width = bitsFor(alphabet)
    if (width === 0) return new Uint8Array(0)
    if (width === 8 && symbols instanceof Uint8Array) return symbols.slice()
    const writer = createBitWriter(Math.ceil((symbols.length * width) / 8))
    for (let i = 0; i < symbols.length; i++) writer.bits(symbols[i], width)
    return writer.finish()
  },
  decode(bytes, count, alphabet) {
    const width = bitsFor(alphabet)
    checkBitEnd(bytes, count * width, 'bits')
    const symbols = symbolArray(alphabet, count)
    if (width === 0) return symbols
    const mask = (1 << width) - 1
    let held = 0
    let heldBits = 0
    let position = 0
    for (let i = 0; i < count; i++) {
      while (heldBits < width) {
        held = ((held & 0xffffff) << 8) | bytes[position++]
        heldBits += 8
      }
      heldBits -= width
      const symbol = (held >>> heldBits) & mask
      if (symbol >= alphabet) throw new DataError('codec-symbol', `symbol ${symbol} is not below ${alphabet}`)
      symbols[i] = symbol
    }
    return symbols
  },
})
