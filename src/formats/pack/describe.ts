import { codecOf } from './decode.ts'
import { decodeTogether, predictive } from '../../codecs/predictive.ts'
import { JOINT, streamsOf, type Content, type Stream } from './content.ts'
import { CHECKED_STREAM, defaultLimit, readLayout } from './layout.ts'
import type { UnpackOptions } from './unpack.ts'

/** One part of a pack. The bytes of all of them add up to the file. */
export interface PackStream {
  /** The tensor, `node/attribute` for one in an attribute; absent for what is not of one tensor. */
  readonly tensor?: string
  /** What the bytes hold: 'header', 'graph', 'checksum', 'small constants', 'codes', 'codebook', 'mask', 'values' … */
  readonly kind: string
  readonly codec?: string
  /** Symbols of the stream. */
  readonly elements: number
  /** Bytes in the file, a checksum of the stream's own included. */
  readonly bytes: number
}

/** Where the bytes of a pack are. */
export interface PackDescription {
  readonly fileBytes: number
  /** Bytes of the ONNX file that the pack restores. */
  readonly modelBytes: number
  /** Bytes of the graph without weights and the records of its tensors, as coded. */
  readonly graphBytes: number
  readonly streams: readonly PackStream[]
}

/** Says what each byte of a pack is for. Decodes nothing but the joint stream, to tell its tensors apart. @throws DataError as `readPack` does. */
export function describePack(bytes: Uint8Array, options: UnpackOptions = {}): PackDescription {
  const layout = readLayout(bytes, options.maxBytes ?? defaultLimit(bytes.length))
  const streams: PackStream[] = [
    { kind: 'header', elements: layout.headerBytes, bytes: layout.headerBytes },
    { kind: 'graph', elements: layout.skeleton.length, bytes: layout.headBytes },
  ]
  for (const { stream } of layout.sharedStreams)
    streams.push({
      kind: 'small constants',
      codec: codecOf(stream, stream.part).name,
      elements: stream.count,
      bytes: stored(stream.length),
    })
  const parts = partBytes(layout.joint)
  let part = 0
  layout.contents.forEach((content, i) => {
    const tensor = layout.blueprint.slots[i].place
    for (const stream of streamsOf(content)) {
      const isPart = stream.codec === JOINT
      streams.push({
        tensor,
        kind: streamKind(content, stream.part),
        codec: isPart ? predictive.name : codecOf(stream, tensor).name,
        elements: stream.count,
        bytes: isPart ? parts[part++] : stored(stream.length),
      })
    }
  })
  streams.push({ kind: 'checksum', elements: 4, bytes: 4 })
  return {
    fileBytes: bytes.length,
    modelBytes: layout.blueprint.length,
    graphBytes: layout.headBytes,
    streams,
  }
}

/** What each part of the joint stream takes of it: the bytes that are read while it is decoded. */
function partBytes(joint: Stream | undefined): number[] {
  if (!joint) return []
  const { ends } = decodeTogether(joint.bytes!, joint.parts!)
  ends[ends.length - 1] = stored(joint.length)
  return ends.map((end, i) => end - (i === 0 ? 0 : ends[i - 1]))
}

/** Bytes of a stream in the file: its own checksum counts. */
function stored(length: number): number {
  return length + (length >= CHECKED_STREAM ? 4 : 0)
}

/** In words: the planes of a float tensor are its values, sorted numbers are a codebook. */
function streamKind(content: Content, part: string): string {
  if (part.startsWith('plane')) return content.kind === 'masked' ? 'values other than zero' : 'values'
  return part === 'steps' ? 'codebook' : part
}
