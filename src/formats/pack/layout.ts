/** The frame of a pack: what stands where. `docs/pack.md` describes it byte by byte. */
import { createByteReader, createByteWriter, type ByteReader } from '../../codecs/bytes.ts'
import { crc32 } from '../../codecs/crc32.ts'
import { DataError } from '../../errors.ts'
import { decodeText, encodeText } from '../../codecs/text.ts'
import { predictive } from '../../codecs/predictive.ts'
import { JOINT, readContent, sharedLength, streamsOf, writeContent, type Content, type Stream } from './content.ts'
import { dictionary } from './dictionary.ts'
import { elementTypes } from './element.ts'
import { readSkeleton, type Blueprint, type Slot } from './skeleton.ts'

/** The first four bytes of every pack: 'ESPL'. */
export const MAGIC: readonly number[] = [0x45, 0x53, 0x50, 0x4c]
/** The version that this code reads and writes. */
export const VERSION = 2
/** Streams of at least this many bytes carry a checksum of their own, so that damage can be located. */
export const CHECKED_STREAM = 4096
/** How the head is stored. */
const HEAD_PLAIN = 0
const HEAD_TEXT = 1
/** Heads above this size are stored as they are: the coder of the head takes a second or two a megabyte. */
const LARGEST_TEXT = 1 << 23

/** The parts of a pack. */
export interface Layout {
  readonly skeleton: Uint8Array
  readonly contents: readonly Content[]
  /** One stream for each element type that has shared contents, in the order in which the contents first need them. */
  readonly sharedStreams: readonly SharedStream[]
  /** The stream of all contents that are coded together. */
  readonly joint?: Stream
}

export interface SharedStream {
  readonly type: number
  readonly stream: Stream
}

/** A layout that was read, and the sizes of its frame. */
export interface ReadLayout extends Head {
  /** Bytes before the head. */
  readonly headerBytes: number
  readonly headBytes: number
  /** Bytes of the checksums, the file's and the streams'. */
  readonly checksumBytes: number
}

/** The element types whose contents need the shared stream, in the order of their first need, with the bytes of each. */
export function sharedTypes(slots: readonly Slot[], contents: readonly Content[]): Map<number, number> {
  const lengths = new Map<number, number>()
  contents.forEach((content, i) => {
    const length = sharedLength(content)
    if (length > 0) lengths.set(slots[i].type, (lengths.get(slots[i].type) ?? 0) + length)
  })
  return lengths
}

/** All streams in the order of the file; the parts of the joint one are none of their own. */
export function allStreams({ sharedStreams, joint, contents }: Layout): Stream[] {
  const own = contents.flatMap(streamsOf).filter(({ codec }) => codec !== JOINT)
  return [...sharedStreams.map(({ stream }) => stream), ...(joint ? [joint] : []), ...own]
}

/** The joint stream of contents that have parts of it. */
export function jointStream(
  contents: readonly Content[],
  length: () => number,
  bytes?: Uint8Array,
): Stream | undefined {
  const parts = contents.flatMap(streamsOf).filter(({ codec }) => codec === JOINT)
  if (parts.length === 0) return undefined
  return {
    part: 'numbers',
    codec: predictive.id,
    count: parts.reduce((sum, { count }) => sum + count, 0),
    alphabet: parts.reduce((largest, { alphabet }) => Math.max(largest, alphabet), 1),
    length: length(),
    bytes,
    parts: parts.map(({ count, alphabet, shape }) => ({ count, alphabet, shape })),
  }
}

/** Writes the file. */
export function writeLayout(layout: Layout): Uint8Array {
  const head = createByteWriter()
  head.varint(layout.skeleton.length)
  head.bytes(layout.skeleton)
  for (const content of layout.contents) writeContent(head, content)
  for (const { stream } of layout.sharedStreams) {
    head.varint(stream.codec)
    head.varint(stream.length)
  }
  if (layout.joint) head.varint(layout.joint.length)
  const plain = head.finish()
  const coded = plain.length <= LARGEST_TEXT ? encodeText(plain, dictionary) : plain
  const isText = coded.length < plain.length
  const streams = allStreams(layout)
  // Exact, so that nothing is copied when it grows: the streams may take hundreds of megabytes.
  const size = streams.reduce((sum, { length }) => sum + length + (length >= CHECKED_STREAM ? 4 : 0), 0)
  const writer = createByteWriter(size + coded.length + 32)
  writer.bytes(Uint8Array.from(MAGIC))
  writer.byte(VERSION)
  writer.byte(isText ? HEAD_TEXT : HEAD_PLAIN)
  writer.varint(plain.length)
  if (isText) writer.varint(coded.length)
  writer.bytes(isText ? coded : plain)
  for (const { bytes, length } of streams) {
    writer.bytes(bytes!)
    if (length >= CHECKED_STREAM) writer.uint32(crc32(bytes!))
  }
  writer.uint32(crc32(writer.written()))
  return writer.written()
}

/** Bytes that a byte of a pack may stand for where the caller sets no limit, and what is allowed besides. */
const EXPANSION = 4096
const FREE_BYTES = 2 ** 28

/** The size of a model that a pack of this size may have where the caller sets no limit. */
export function defaultLimit(packBytes: number): number {
  return FREE_BYTES + packBytes * EXPANSION
}

/** What stands before the head of a pack. */
export interface Header {
  readonly isText: boolean
  /** Bytes of the head, decoded. */
  readonly length: number
  /** Bytes of the head in the file. */
  readonly stored: number
  /** Bytes of the header itself. */
  readonly bytes: number
}

/** The fewest bytes that a pack has. */
export const SHORTEST_PACK = 11
/** The most bytes that a header takes. */
export const LONGEST_HEADER = 22

/** Reads the header. @throws DataError when it is none, or the head would exceed `maxBytes`. */
export function readHeader(reader: ByteReader, maxBytes: number): Header {
  checkVersion(reader.bytes(5))
  const form = reader.byte()
  if (form !== HEAD_PLAIN && form !== HEAD_TEXT)
    throw new DataError('pack-head', `the head is stored in form ${form}, which this version does not know`, {
      hint: 'Read the pack with the version of espalier that wrote it.',
    })
  const isText = form === HEAD_TEXT
  const length = reader.varint(isText ? Math.min(maxBytes, LARGEST_TEXT) : maxBytes)
  return { isText, length, stored: isText ? reader.varint(maxBytes) : length, bytes: reader.position }
}

/** What the head of a pack says: everything but the streams' bytes. */
export interface Head extends Layout {
  readonly blueprint: Blueprint
}

/** Reads the head from its bytes. @throws DataError when it contradicts itself, or the model would exceed `maxBytes`. */
export function readHead(header: Header, stored: Uint8Array, maxBytes: number): Head {
  const head = createByteReader(
    header.isText ? decodeText(stored, header.length, dictionary) : stored,
    'head of the pack',
  )
  const skeleton = head.bytes(head.varint(head.remaining))
  const blueprint = readSkeleton(skeleton, maxBytes)
  const contents = blueprint.slots.map((slot) => {
    const element = elementTypes.get(slot.type)!
    return readContent(head, { element, shape: slot.shape, length: slot.length }, slot.place)
  })
  const sharedStreams = [...sharedTypes(blueprint.slots, contents)].map(([type, length]) => ({
    type,
    stream: sharedStream(type, length, head.varint(), head.varint()),
  }))
  const joint = jointStream(contents, () => head.varint())
  head.end()
  return { skeleton, contents, sharedStreams, joint, blueprint }
}

/**
 * Reads the frame and splits the body into streams, without decoding them.
 * @throws DataError when anything does not add up, or the model would exceed `maxBytes`.
 */
export function readLayout(bytes: Uint8Array, maxBytes: number): ReadLayout {
  checkFrame(bytes)
  const reader = createByteReader(bytes, 'pack')
  const header = readHeader(reader, maxBytes)
  const head = readHead(header, reader.bytes(header.stored), maxBytes)
  const checksumBytes = takeStreams(reader, allStreams(head)) + 4
  reader.bytes(4)
  reader.end()
  return { ...head, headerBytes: header.bytes, headBytes: header.stored, checksumBytes }
}

/** The stream of the shared contents of an element type. */
function sharedStream(type: number, count: number, codec: number, length: number): Stream {
  return { part: `shared ${elementTypes.get(type)!.name}`, codec, count, alphabet: 256, length }
}

const fetchAgain = 'Fetch the file again.'

/** @throws DataError unless these are the first five bytes of a pack of this version. */
function checkVersion(bytes: Uint8Array): void {
  if (MAGIC.some((byte, i) => bytes[i] !== byte))
    throw new DataError('pack-magic', 'this is not a pack: it does not begin with ESPL', {
      hint: 'Give a file that `espalier compress` wrote.',
    })
  if (bytes[4] !== VERSION)
    throw new DataError('pack-version', `the pack is of version ${bytes[4]}, and this reads version ${VERSION}`, {
      hint: 'Update espalier, or fetch the file again.',
    })
}

/** Checks a whole pack by its checksum. @throws DataError when it is none, damaged or cut short. */
export function checkFrame(bytes: Uint8Array): void {
  // What is no pack at all is told so, however short it is.
  if (bytes.length < SHORTEST_PACK && MAGIC.every((byte, i) => i >= bytes.length || bytes[i] === byte))
    throw endsEarly()
  checkVersion(bytes)
  const sum = createByteReader(bytes.subarray(bytes.length - 4)).uint32()
  checkFile(crc32(bytes.subarray(0, bytes.length - 4)), sum)
}

/** The error of a pack that is shorter than a pack can be. */
export const endsEarly = () => new DataError('pack-end', 'the pack ends within its header', { hint: fetchAgain })

/** @throws DataError unless the checksum of the file is what its end says. */
export function checkFile(sum: number, said: number): void {
  if (sum !== said)
    throw new DataError('pack-checksum', 'the pack is damaged or cut short: its checksum does not fit', {
      hint: fetchAgain,
    })
}

/** @throws DataError unless the checksum of the stream's bytes is what follows them. */
export function checkStream(stream: Stream, said: number): void {
  if (crc32(stream.bytes!) !== said)
    throw new DataError('pack-checksum', `the stream '${stream.part}' is damaged: its checksum does not fit`, {
      hint: fetchAgain,
    })
}

/** Gives every stream its bytes. @returns The bytes of the streams' own checksums. */
function takeStreams(reader: ByteReader, streams: readonly Stream[]): number {
  let checksums = 0
  for (const stream of streams) {
    stream.bytes = reader.bytes(stream.length)
    if (stream.length < CHECKED_STREAM) continue
    checksums += 4
    checkStream(stream, reader.uint32())
  }
  return checksums
}
