/**
 * How the content of a tensor is represented: as one of a few kinds, each made of streams of symbols, each of which
 * has a codec of its own. Kinds nest: the values of a masked tensor may be a palette, whose codebook may be ascending.
 */
import type { ByteReader, ByteWriter } from '../../codecs/bytes.ts'
import { predictive } from '../../codecs/predictive.ts'
import { DataError } from '../../errors.ts'
import type { ElementType } from './element.ts'

/** In the place of a codec's id: the stream is part of the joint stream, which one model codes. */
export const JOINT = 0

/** One coded stream; `bytes` is there when writing, and when reading after the body was split. */
export interface Stream {
  /** What it holds, for `describePack`: 'codes', 'mask', 'plane 0' … */
  readonly part: string
  /** The codec's id, or `JOINT`. The writer's chooser settles it, and the length, when it has seen all streams. */
  codec: number
  readonly count: number
  readonly alphabet: number
  readonly shape?: readonly number[]
  /** Bytes of the coded stream; 0 for a part of the joint stream. */
  length: number
  bytes?: Uint8Array
  /** Of the joint stream: what it is made of, in order. */
  readonly parts?: readonly StreamPart[]
}

/** What a reader knows of a part of the joint stream. */
export interface StreamPart {
  readonly count: number
  readonly alphabet: number
  readonly shape?: readonly number[]
}

export type Content =
  /** The bytes stand in the stream that all small contents of this element type share. */
  | { readonly kind: 'shared'; readonly length: number }
  /** Byte i of every element, the most significant first; floats are first rotated left by a bit. */
  | { readonly kind: 'planes'; readonly planes: readonly Stream[] }
  /** Integers below 65,536 in size, as they are or, when signed, 0, -1, 1, -2 … Written as 'numbers' where those pay. */
  | { readonly kind: 'symbols'; readonly codes: Stream }
  /** A codebook of the different elements, and which of them stands where. */
  | { readonly kind: 'palette'; readonly codebook: Content; readonly size: number; readonly codes: Stream }
  /** Where elements other than zero stand, and those. */
  | { readonly kind: 'masked'; readonly nonzero: number; readonly mask: Stream; readonly values: Content }
  /** Differences of neighbours, for sorted numbers. */
  | { readonly kind: 'ascending'; readonly steps: Stream }

/** The kinds of records; 'numbers' are symbols whose alphabet is that of the element type. */
const kinds = ['shared', 'planes', 'symbols', 'palette', 'masked', 'ascending', 'numbers'] as const

/** The most elements that a palette may have. */
export const LARGEST_PALETTE = 65536

/** How many numbers of the element's width the content has. */
function numberCount(element: ElementType, length: number): number {
  return length / element.width
}

/** The elements that `symbols` codes: two a byte for packed types. */
export function symbolCount(element: ElementType, shape: readonly number[], length: number): number {
  return element.bits === 4 ? shape.reduce((total, size) => total * size, 1) : length / element.width
}

/** The streams of a content, in the order in which they stand in the file. */
export function streamsOf(content: Content): readonly Stream[] {
  switch (content.kind) {
    case 'shared':
      return []
    case 'planes':
      return content.planes
    case 'symbols':
      return [content.codes]
    case 'palette':
      return [...streamsOf(content.codebook), content.codes]
    case 'masked':
      return [content.mask, ...streamsOf(content.values)]
    default:
      return [content.steps]
  }
}

/** The bytes that a content, nested ones included, takes from the shared stream. */
export function sharedLength(content: Content): number {
  if (content.kind === 'shared') return content.length
  if (content.kind === 'palette') return sharedLength(content.codebook)
  return content.kind === 'masked' ? sharedLength(content.values) : 0
}

function writeStream(writer: ByteWriter, stream: Stream): void {
  writer.varint(stream.codec)
  if (stream.codec !== JOINT) writer.varint(stream.length)
}

/** Writes the record of a content. */
export function writeContent(writer: ByteWriter, content: Content): void {
  // What is coded as numbers has its alphabet in the stream.
  if (content.kind === 'symbols' && (content.codes.codec === JOINT || content.codes.codec === predictive.id)) {
    writer.varint(kinds.indexOf('numbers'))
    return writeStream(writer, content.codes)
  }
  writer.varint(kinds.indexOf(content.kind))
  switch (content.kind) {
    case 'shared':
      return
    case 'planes':
      for (const plane of content.planes) writeStream(writer, plane)
      return
    case 'symbols':
      writer.varint(content.codes.alphabet - 1)
      return writeStream(writer, content.codes)
    case 'palette':
      writer.varint(content.size - 1)
      writeContent(writer, content.codebook)
      return writeStream(writer, content.codes)
    case 'masked':
      writer.varint(content.nonzero)
      writeStream(writer, content.mask)
      return writeContent(writer, content.values)
    case 'ascending':
      return writeStream(writer, content.steps)
  }
}

/** What a record describes: `length` bytes of elements that fill `shape`. */
export interface ContentHeader {
  readonly element: ElementType
  readonly shape: readonly number[]
  readonly length: number
}

/** Reads the record of a content. @throws DataError when it does not fit what it describes. */
export function readContent(reader: ByteReader, header: ContentHeader, place: string, depth = 0): Content {
  const { element, shape, length } = header
  const stream = (part: string, count: number, alphabet: number, streamShape?: readonly number[]): Stream => {
    const codec = reader.varint()
    return { part, codec, count, alphabet, shape: streamShape, length: codec === JOINT ? 0 : reader.varint() }
  }
  const fail = (message: string): never => {
    throw new DataError('pack-record', `the record of ${place} ${message}`, {
      place,
      hint: 'Fetch the pack again, or read it with the version of espalier that wrote it.',
    })
  }
  const numbers = numberCount(element, length)
  const id = reader.varint()
  const kind = kinds[id] ?? fail(`is of kind ${id}, which this version does not know`)
  if (depth > 2) fail('is nested too deep')
  if (length === 0 || !Number.isInteger(numbers)) fail('has a length that its elements do not fill')
  switch (kind) {
    case 'shared':
      return { kind, length }
    case 'planes': {
      const planes = Array.from({ length: element.width }, (_, i) => stream(`plane ${i}`, numbers, 256, shape))
      return { kind, planes }
    }
    case 'symbols': {
      const alphabet = reader.varint(65535) + 1
      return { kind, codes: stream('codes', symbolCount(element, shape, length), alphabet, shape) }
    }
    case 'numbers': {
      const alphabet = 2 ** Math.min(16, element.bits)
      return { kind: 'symbols', codes: stream('codes', symbolCount(element, shape, length), alphabet, shape) }
    }
    case 'palette': {
      const size = reader.varint(LARGEST_PALETTE - 1) + 1
      if (size > numbers) fail(`has a codebook of ${size} for ${numbers} elements`)
      const inner = { element, shape: [size], length: size * element.width }
      const codebook = readContent(reader, inner, place, depth + 1)
      return { kind, codebook, size, codes: stream('codes', numbers, size, shape) }
    }
    case 'masked': {
      const nonzero = reader.varint(numbers)
      if (nonzero === 0) fail('has no element other than zero')
      const mask = stream('mask', numbers, 2, shape)
      const inner = { element, shape: [nonzero], length: nonzero * element.width }
      return { kind, nonzero, mask, values: readContent(reader, inner, place, depth + 1) }
    }
    default: {
      if (element.width > 4) fail('is ascending, but its elements are wider than four bytes')
      return { kind, steps: stream('steps', numbers, 256 ** element.width) }
    }
  }
}
