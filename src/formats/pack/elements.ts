/** Contents as numbers and back: the byte work below the kinds. */
import { symbolArray, type Symbols } from '../../codecs/codec.ts'
import { DataError } from '../../errors.ts'
import type { ElementType } from './element.ts'

/** The bit patterns of elements of one, two or four bytes. */
export type Words = Uint8Array | Uint16Array | Uint32Array

/** The bit patterns of the content, little-endian; a copy unless the elements are bytes. */
export function toWords(content: Uint8Array, width: number): Words {
  if (width === 1) return content
  const words = width === 2 ? new Uint16Array(content.length / 2) : new Uint32Array(content.length / 4)
  new Uint8Array(words.buffer).set(content)
  return words
}

/** Writes bit patterns as little-endian bytes. */
export function fromWords(words: Words, target: Uint8Array): void {
  target.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength))
}

/** The planes of `planes`: byte i of every element, the most significant first; floats rotated left by one bit. */
export function splitPlanes(content: Uint8Array, element: ElementType): Uint8Array[] {
  const { width } = element
  const count = content.length / width
  const planes = Array.from({ length: width }, () => new Uint8Array(count))
  const rotate = element.form === 'float' && width > 1
  for (let p = 0; p < width; p++) {
    const plane = planes[width - 1 - p]
    const below = (p + width - 1) % width
    if (rotate)
      for (let i = 0, at = 0; i < count; i++, at += width)
        plane[i] = (content[at + p] << 1) | (content[at + below] >> 7)
    else for (let i = 0, at = p; i < count; i++, at += width) plane[i] = content[at]
  }
  return planes
}

export function joinPlanes(planes: readonly Symbols[], element: ElementType, target: Uint8Array): void {
  const { width } = element
  const count = target.length / width
  const rotate = element.form === 'float' && width > 1
  for (let p = 0; p < width; p++) {
    const plane = planes[width - 1 - p]
    const above = planes[width - 1 - ((p + 1) % width)]
    if (rotate) for (let i = 0, at = p; i < count; i++, at += width) target[at] = (plane[i] >> 1) | (above[i] << 7)
    else for (let i = 0, at = p; i < count; i++, at += width) target[at] = plane[i]
  }
}

/** Elements as symbols, or undefined where one is out of the 65,536 that symbols may have. */
export function toSymbols(
  content: Uint8Array,
  element: ElementType,
  count: number,
): { symbols: Symbols; alphabet: number } | undefined {
  const numbers = element.bits === 4 ? fromNibbles(content, element, count) : toNumbers(content, element)
  if (!numbers) return undefined
  let largest = 0
  for (let i = 0; i < count; i++) {
    const value = numbers[i]
    const symbol = value < 0 ? -2 * value - 1 : element.form === 'signed' ? 2 * value : value
    if (symbol > largest) largest = symbol
  }
  if (largest > 65535) return undefined
  const symbols = symbolArray(largest + 1, count)
  for (let i = 0; i < count; i++) {
    const value = numbers[i]
    symbols[i] = value < 0 ? -2 * value - 1 : element.form === 'signed' ? 2 * value : value
  }
  return { symbols, alphabet: largest + 1 }
}

/** The numbers of an integer content; eight-byte ones only where four bytes would do. */
function toNumbers(content: Uint8Array, element: ElementType): Int32Array | Words | Int8Array | Int16Array | undefined {
  const signed = element.form === 'signed'
  if (element.width !== 8) {
    const words = toWords(content, element.width)
    if (!signed) return words
    if (element.width === 1) return Int8Array.from(words, (byte) => (byte << 24) >> 24)
    return element.width === 2 ? new Int16Array(words.buffer) : new Int32Array(words.buffer)
  }
  const halves = new Int32Array(toWords(content, 4).buffer)
  const numbers = new Int32Array(halves.length / 2)
  for (let i = 0; i < numbers.length; i++) {
    numbers[i] = halves[2 * i]
    if (halves[2 * i + 1] !== (signed ? numbers[i] >> 31 : 0) || (!signed && numbers[i] < 0)) return undefined
  }
  return numbers
}

function fromNibbles(content: Uint8Array, element: ElementType, count: number): Int8Array | undefined {
  const numbers = new Int8Array(count)
  for (let i = 0; i < count; i++) {
    const nibble = (content[i >> 1] >> ((i & 1) * 4)) & 15
    numbers[i] = element.form === 'signed' && nibble > 7 ? nibble - 16 : nibble
  }
  // What lies beyond an odd count must be restored too.
  return count % 2 === 1 && content[count >> 1] >> 4 !== 0 ? undefined : numbers
}

/** Writes symbols back as elements. @throws DataError when a symbol is out of the element's range. */
export function fromSymbols(symbols: Symbols, element: ElementType, target: Uint8Array): void {
  const signed = element.form === 'signed'
  const largest = element.bits >= 16 ? 65535 : 2 ** element.bits - 1
  const packed = element.bits === 4
  const { width } = element
  const mask = packed ? 15 : -1
  if (packed) target.fill(0)
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i]
    if (symbol > largest) throw new DataError('pack-symbol', `the symbol ${symbol} is out of range for ${element.name}`)
    const value = signed ? (symbol & 1 ? -((symbol + 1) >> 1) : symbol >> 1) : symbol
    if (packed) target[i >> 1] |= (value & mask) << ((i & 1) * 4)
    else for (let b = 0, at = i * width; b < width; b++, at++) target[at] = value >> Math.min(31, 8 * b)
  }
}

/** A number that is in the order of the values where floats are: negative ones have all bits turned, others the sign. */
export function orderedKey(word: number, element: ElementType): number {
  const bits = element.width * 8
  const sign = 2 ** (bits - 1)
  if (element.form === 'float') return word >= sign ? 2 * sign - 1 - word : word + sign
  return element.form === 'signed' ? (word >= sign ? word - sign : word + sign) : word
}

function fromOrderedKey(key: number, element: ElementType): number {
  const bits = element.width * 8
  const sign = 2 ** (bits - 1)
  if (element.form === 'float') return key >= sign ? key - sign : 2 * sign - 1 - key
  return element.form === 'signed' ? (key >= sign ? key - sign : key + sign) : key
}

/** The differences of neighbouring keys, the first from 0, modulo the elements' range. */
export function toSteps(words: Words, element: ElementType): Symbols {
  const range = 256 ** element.width
  const steps = symbolArray(range, words.length)
  let previous = 0
  for (let i = 0; i < words.length; i++) {
    const key = orderedKey(words[i], element)
    steps[i] = key >= previous ? key - previous : key - previous + range
    previous = key
  }
  return steps
}

export function fromSteps(steps: Symbols, element: ElementType, target: Uint8Array): void {
  const range = 256 ** element.width
  const words = symbolArray(range, steps.length)
  let key = 0
  for (let i = 0; i < steps.length; i++) {
    key = (key + steps[i]) % range
    words[i] = fromOrderedKey(key, element)
  }
  fromWords(words, target)
}

/**
 * The different elements and how often each occurs, or undefined where they are more than `most`. An open hash table.
 */
export function distinctWords(words: Words, most: number): Map<number, number> | undefined {
  const bits = 32 - Math.clz32(most * 2)
  const mask = (1 << bits) - 1
  const keys = new Uint32Array(mask + 1)
  const counts = new Float64Array(mask + 1)
  let size = 0
  for (let i = 0; i < words.length; i++) {
    const word = words[i]
    let slot = (Math.imul(word, 0x9e3779b1) >>> 15) & mask
    while (counts[slot] > 0 && keys[slot] !== word) slot = (slot + 1) & mask
    if (counts[slot]++ === 0) {
      keys[slot] = word
      if (++size > most) return undefined
    }
  }
  const result = new Map<number, number>()
  for (let slot = 0; slot <= mask; slot++) if (counts[slot] > 0) result.set(keys[slot], counts[slot])
  return result
}
