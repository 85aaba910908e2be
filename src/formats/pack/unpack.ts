/**
 * The decoder of packs, `espalier/unpack`: no dependency, nothing of Node; it runs in browsers, Node and workers alike.
 * `unpack` takes a whole pack, `unpackFrom` and `unpackTensors` take one that is still arriving.
 */
import { createByteReader, type ByteReader } from '../../codecs/bytes.ts'
import { asBytes } from '../../codecs/codec.ts'
import type { ProgressListener } from '../../progress.ts'
import type { ByteSource } from './chunks.ts'
import { decodeContent, decodeStream, symbolSource } from './decode.ts'
import { elementTypes } from './element.ts'
import { defaultLimit, readLayout } from './layout.ts'
import { receivePack, type ReceiveOptions } from './receive.ts'
import type { Slot } from './skeleton.ts'

export { DataError } from '../../errors.ts'
export type { ByteSource } from './chunks.ts'
export type { ReceiveOptions } from './receive.ts'

/** A tensor of the model, as it lies in the `raw_data` of the ONNX file. */
export interface UnpackedTensor {
  /** The initializer's name, or `node/attribute` for a tensor in an attribute, as far as the file names them. */
  readonly name: string
  /** ONNX's name of the element type, in lower case: 'float32', 'int8', 'bfloat16' … */
  readonly dtype: string
  readonly shape: readonly number[]
  /** Little-endian, row-major; four-bit types two a byte, the low half first. */
  readonly bytes: Uint8Array
}

/** Choices of the reader of packs. */
export interface UnpackOptions {
  /** The size of the model above which a pack is refused; 256 MiB and 4,096 bytes for each byte of the pack if absent. */
  readonly maxBytes?: number
  /** Called with each tensor when it is decoded; its bytes are a view of the file that is being restored. */
  readonly onTensor?: (tensor: UnpackedTensor) => void
  /** Told of the bytes of tensors that are restored. */
  readonly progress?: ProgressListener
}

/**
 * Restores the ONNX file, bit for bit. The checksum of the file is looked at before anything is decoded.
 * @throws DataError when the pack is damaged, cut short or contradicts itself.
 */
export function unpack(bytes: Uint8Array, options: UnpackOptions = {}): Uint8Array {
  const { blueprint, contents, sharedStreams, joint } = readLayout(
    bytes,
    options.maxBytes ?? defaultLimit(bytes.length),
  )
  const total = blueprint.slots.reduce((sum, { length }) => sum + length, 0)
  let done = 0
  options.progress?.({ task: 'unpack', done, total })
  const shared = new Map<number, ByteReader>()
  for (const { type, stream } of sharedStreams)
    shared.set(type, createByteReader(asBytes(decodeStream(stream, stream.part)), stream.part))
  let place = ''
  const symbols = symbolSource(joint && decodeStream(joint, joint.part), (stream) => decodeStream(stream, place))
  return blueprint.restore((index, target) => {
    const slot = blueprint.slots[index]
    place = slot.place
    const parts = {
      symbols,
      shared: (length: number) => shared.get(slot.type)!.bytes(length),
    }
    decodeContent(contents[index], elementTypes.get(slot.type)!, target, parts, slot.place)
    options.onTensor?.(tensorOf(slot, target))
    done += target.length
    options.progress?.({ task: 'unpack', done, total })
  })
}

/**
 * The tensors of a pack that is still arriving, each as soon as its bytes are there, in the order of the file. One
 * tensor is held at a time, unless threads are asked for. The tensors that lie outside of `raw_data` (in `float_data`
 * and its like, and strings) are part of the graph and not among them.
 *
 * Tensors are final when the loop ends without an error: the checksum of the file comes last. Before that, a stream of
 * 4,096 bytes or more has been compared with its own checksum, and a smaller one has only been decoded. Where `source`
 * is the whole pack as a Uint8Array, its checksum is looked at first, and every tensor is final.
 * @throws DataError when the pack is damaged, cut short or contradicts itself.
 */
export async function* unpackTensors(
  source: ByteSource,
  options: ReceiveOptions = {},
): AsyncGenerator<UnpackedTensor, void, undefined> {
  const { blueprint, contents } = await receivePack(source, options)
  let index = 0
  for await (const bytes of contents()) yield tensorOf(blueprint.slots[index++], bytes)
}

/**
 * Restores the ONNX file, bit for bit, from a pack that is still arriving. Resolves only when the checksum of the file
 * was found right.
 * @throws DataError when the pack is damaged, cut short or contradicts itself.
 */
export async function unpackFrom(source: ByteSource, options: ReceiveOptions = {}): Promise<Uint8Array> {
  const { blueprint, contents } = await receivePack(source, options)
  const tensors: Uint8Array[] = []
  for await (const bytes of contents()) tensors.push(bytes)
  tensors.reverse()
  return blueprint.restore((_index, target) => target.set(tensors.pop()!))
}

function tensorOf(slot: Slot, bytes: Uint8Array): UnpackedTensor {
  return { name: slot.place, dtype: elementTypes.get(slot.type)!.name, shape: slot.shape, bytes }
}
