import { createByteReader, type ByteReader } from '../../codecs/bytes.ts'
import { asBytes } from '../../codecs/codec.ts'
import { decodeContent, decodeStream } from './decode.ts'
import { elementTypes } from './element.ts'
import { defaultLimit, readLayout } from './layout.ts'

/** Choices of the reader of packs. */
export interface UnpackOptions {
  /** The size of the model above which a pack is refused; 256 MiB and 4,096 bytes for each byte of the pack if absent. */
  readonly maxBytes?: number
}

/**
 * Restores the ONNX file, bit for bit. Needs nothing but the pack: neither the ONNX reader nor any package.
 * @throws DataError when the pack is damaged, cut short or contradicts itself.
 */
export function unpackOnnx(bytes: Uint8Array, options: UnpackOptions = {}): Uint8Array {
  const { blueprint, contents, sharedStreams } = readLayout(bytes, options.maxBytes ?? defaultLimit(bytes.length))
  const shared = new Map<number, ByteReader>()
  for (const { type, stream } of sharedStreams)
    shared.set(type, createByteReader(asBytes(decodeStream(stream, stream.part)), stream.part))
  return blueprint.restore((slot, target) => {
    const { type, place } = blueprint.slots[slot]
    const take = (length: number) => shared.get(type)!.bytes(length)
    decodeContent(contents[slot], elementTypes.get(type)!, target, take, place)
  })
}
