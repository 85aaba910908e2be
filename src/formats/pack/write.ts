import { createByteWriter } from '../../codecs/bytes.ts'
import type { Model } from '../../ir/model.ts'
import type { ProgressListener } from '../../progress.ts'
import { writeModel } from '../onnx/write.ts'
import { createChooser } from './choose.ts'
import { JOINT, streamsOf, type Content, type Stream } from './content.ts'
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
  /** Told of the bytes of tensors that are coded. */
  readonly progress?: ProgressListener
}

/** The metadata key by which a method says how the model is to be coded. */
export const CODING_KEY = 'espalier.coding'

/**
 * Packs a model: the graph without weights, and each tensor as the kind and with the codec that make it smallest.
 * The same model gives the same bytes.
 * @throws UsageError when the coding asked for does not exist.
 */
export function writePack(model: Model, options: PackOptions = {}): Uint8Array {
  return packOnnx(writeModel(model), { ...options, coding: options.coding ?? model.metadata.get(CODING_KEY) })
}

/** Packs the bytes of an ONNX file; `unpack` restores exactly these. */
export function packOnnx(onnx: Uint8Array, options: PackOptions = {}): Uint8Array {
  const { skeleton, slots, contents: raw } = cutTensors(onnx)
  const chooser = createChooser(options.coding)
  const total = slots.reduce((sum, { length }) => sum + length, 0)
  let done = 0
  const advance = (bytes: number) => {
    done += bytes
    options.progress?.({ task: 'pack', done, total })
  }
  // What waits for the models of numbers takes nearly all of the time.
  const waiting = new Map<Stream, number>()
  const shared = new Map<number, ReturnType<typeof createByteWriter>>()
  const contents: Content[] = slots.map((slot, i) => {
    const element = elementTypes.get(slot.type)!
    const encoded = encodeContent(raw[i], { element, shape: slot.shape, length: slot.length }, chooser)
    for (const part of encoded.shared) {
      let writer = shared.get(slot.type)
      if (!writer) shared.set(slot.type, (writer = createByteWriter()))
      writer.bytes(part)
    }
    const open = streamsOf(encoded.content).find(({ codec }) => codec === JOINT)
    if (open) waiting.set(open, slot.length)
    else advance(slot.length)
    return encoded.content
  })
  const sharedStreams = [...sharedTypes(slots, contents).keys()].map((type) => {
    const symbols = shared.get(type)!.finish()
    const part = `shared ${elementTypes.get(type)!.name}`
    return { type, stream: chooser.encode({ part, symbols, alphabet: 256, codecs: ['bits', 'huffman', 'text'] }) }
  })
  const together = chooser.finish((stream) => advance(waiting.get(stream) ?? 0))
  const joint = jointStream(contents, () => together.length, together)
  return writeLayout({ skeleton, contents, sharedStreams, joint })
}
