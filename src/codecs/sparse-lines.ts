import { DataError } from '../errors.ts'
import { BitReader, bitsFor, checkBitEnd, createBitWriter } from './bit-io.ts'
import { createByteReader, createByteWriter } from './bytes.ts'
import { histogram } from './canonical.ts'
import { symbolArray, type Codec } from './codec.ts'
import { neighbourhood } from './neighbours.ts'

/**
 * Both directions of a codec that stores a sparse matrix by its lines, rows or columns: the symbols other than 0 of one
 * line after another, the place of each within its line, and for each line where its symbols start, with one number more
 * for the end: 2a + n + 1 numbers for a symbols in n lines. A tensor [out, in, ...kernel] is the matrix of out rows.
 *
 * The bytes: a varint, a; then in fixed bits the starts (as many bits as tell 0..a apart), the places (as many as the
 * length of a line needs) and the symbols (as many as the alphabet needs).
 */
export function storedByLines(name: string, lines: 'rows' | 'columns'): Pick<Codec, 'encode' | 'decode'> {
  /** The matrix: how many lines, how long they are, and how far apart lines and places lie in the row-major symbols. */
  const matrix = (count: number, shape: readonly number[] | undefined) => {
    const width = neighbourhood(shape, count).filter
    const columns = count % width === 0 ? width : count
    const rows = count / columns
    return lines === 'rows'
      ? { lineCount: rows, lineLength: columns, lineStep: columns, placeStep: 1 }
      : { lineCount: columns, lineLength: rows, lineStep: 1, placeStep: columns }
  }
  return {
    encode({ symbols, alphabet, shape }) {
      const header = createByteWriter()
      if (symbols.length === 0) return header.finish()
      const { lineCount, lineLength, lineStep, placeStep } = matrix(symbols.length, shape)
      const entries = symbols.length - histogram(symbols, alphabet)[0]
      const widths = { start: bitsFor(entries + 1), place: bitsFor(lineLength), symbol: bitsFor(alphabet) }
      const places = new Uint32Array(entries)
      const values = symbolArray(alphabet, entries)
      const writer = createBitWriter()
      let entry = 0
      for (let line = 0; line < lineCount; line++) {
        writer.bits(entry, widths.start)
        for (let place = 0, at = line * lineStep; place < lineLength; place++, at += placeStep) {
          if (symbols[at] === 0) continue
          places[entry] = place
          values[entry++] = symbols[at]
        }
      }
      writer.bits(entries, widths.start)
      for (const place of places) writer.bits(place, widths.place)
      for (const value of values) writer.bits(value, widths.symbol)
      header.varint(entries)
      header.bytes(writer.finish())
      return header.finish()
    },
    decode(bytes, count, alphabet, shape) {
      const reader = createByteReader(bytes, `${name} stream`)
      if (count === 0) {
        reader.end()
        return symbolArray(alphabet, 0)
      }
      const { lineCount, lineLength, lineStep, placeStep } = matrix(count, shape)
      const entries = reader.varint(count)
      const packed = reader.bytes(reader.remaining)
      const widths = { start: bitsFor(entries + 1), place: bitsFor(lineLength), symbol: bitsFor(alphabet) }
      checkBitEnd(packed, (lineCount + 1) * widths.start + entries * (widths.place + widths.symbol), name)
      const fail = (message: string): never => {
        throw new DataError('codec-lines', `the ${name} stream ${message}`, { hint: 'Fetch the file again.' })
      }
      const fields = new BitReader(packed, name)
      const starts = Uint32Array.from({ length: lineCount + 1 }, () => fields.bits(widths.start))
      const places = Uint32Array.from({ length: entries }, () => fields.bits(widths.place))
      if (starts[0] !== 0 || starts[lineCount] !== entries) fail('does not start and end its lines with its symbols')
      const symbols = symbolArray(alphabet, count)
      for (let line = 0; line < lineCount; line++) {
        if (starts[line + 1] < starts[line]) fail('has a line that ends before it starts')
        for (let entry = starts[line], least = 0; entry < starts[line + 1]; entry++) {
          const place = places[entry]
          if (place < least || place >= lineLength) fail('has a place out of its line or out of order')
          const symbol = fields.bits(widths.symbol)
          if (symbol === 0 || symbol >= alphabet) fail(`has the symbol ${symbol}, not one of 1 to ${alphabet - 1}`)
          symbols[line * lineStep + place * placeStep] = symbol
          least = place + 1
        }
      }
      return symbols
    },
  }
}
