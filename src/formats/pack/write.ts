import { createByteWriter } from '../../codecs/bytes.ts'
import type { Model } from '../../ir/model.ts'
import { writeModel } from '../onnx/write.ts'
import { createChooser } from './choose.ts'
import type { Content } from './content.ts'
import { elementTypes } from './element.ts'
import { encodeContent } from './encode.ts'
import { jointStream, sharedTypes, writeLayout } from './layout.ts'
import { cutTensors } from './skeleton.ts'

/** Choices of the writer of packs. */
export interface PackOptions {
  /**
   * The codec for the streams of weights; where it is absent, the model's metadata `espalier.coding` says, and where
   * that is absent, every stream gets the smallest of all codecs.
   */
  readonly coding?: string
}

/** The metadata key by which a method says how the model is to be coded. */
export const CODING_KEY = 'espalier.coding'

/**
 * Packs a model: the graph without weights, and each tensor as the kind and with the codec that make it smallest.
 * The same model gives the same bytes.
 * @throws UsageError when the coding asked for does not exist.
 */
export function writePack(model: Model, options: PackOptions = {}): Uint8Array {
  return packOnnx(writeModel(model), { coding: options.coding ?? model.metadata.get(CODING_KEY) })
}

/** Packs the bytes of an ONNX file; `unpack` restores exactly these. */
export function packOnnx(onnx: Uint8Array, options: PackOptions = {}): Uint8Array {
  const { skeleton, slots, contents: raw } = cutTensors(onnx)
  const chooser = createChooser(options.coding)
  const shared = new Map<number, ReturnType<typeof createByteWriter>>()
  const contents: Content[] = slots.map((slot, i) => {
    const element = elementTypes.get(slot.type)!
    const encoded = encodeContent(raw[i], { element, shape: slot.shape, length: slot.length }, chooser)
    for (const part of encoded.shared) {
      let writer = shared.get(slot.type)
      if (!writer) shared.set(slot.type, (writer = createByteWriter()))
      writer.bytes(part)
    }
    return encoded.content
  })
  const sharedStreams = [...sharedTypes(slots, contents).keys()].map((type) => {
    const symbols = shared.get(type)!.finish()
    const part = `shared ${elementTypes.get(type)!.name}`
    return { type, stream: chooser.encode({ part, symbols, alphabet: 256, codecs: ['bits', 'huffman', 'text'] }) }
  })
  const together = chooser.finish()
  const joint = jointStream(contents, () => together.length, together)
  return writeLayout({ skeleton, contents, sharedStreams, joint })
}
