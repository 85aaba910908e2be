/** From the streams of a content back to its bytes. */
import { symbolArray, takesAlphabet, type Codec, type Symbols } from '../../codecs/codec.ts'
import { codecs } from '../../codecs/index.ts'
import { decodeTogether } from '../../codecs/predictive.ts'
import { DataError } from '../../errors.ts'
import { JOINT, type Content, type Stream } from './content.ts'
import type { ElementType } from './element.ts'
import { fromSteps, fromSymbols, fromWords, joinPlanes, toWords } from './elements.ts'

const byId: ReadonlyMap<number, Codec> = new Map([...codecs.values()].map((codec) => [codec.id, codec]))

/** The codec of a stream. @throws DataError when this version has none of that number or it does not take the alphabet. */
export function codecOf(stream: Stream, place: string): Codec {
  const codec = byId.get(stream.codec)
  if (!codec || !takesAlphabet(codec, stream.alphabet))
    throw new DataError('pack-codec', `${place}, ${stream.part}: codec ${stream.codec} is not known or does not fit`, {
      place,
      hint: 'Read the pack with the version of espalier that wrote it.',
    })
  return codec
}

/**
 * Decodes one stream; of the joint stream, the symbols of all parts, one after another.
 * @throws DataError when its bytes do not hold its symbols.
 */
export function decodeStream(stream: Stream, place: string): Symbols {
  if (stream.parts) {
    const symbols = symbolArray(stream.alphabet, stream.count)
    let position = 0
    for (const part of decodeTogether(stream.bytes ?? new Uint8Array(0), stream.parts).symbols) {
      symbols.set(part, position)
      position += part.length
    }
    return symbols
  }
  const codec = codecOf(stream, place)
  return codec.decode(stream.bytes ?? new Uint8Array(0), stream.count, stream.alphabet, stream.shape)
}

/**
 * The symbols of streams, in the order of the file: those of parts of the joint stream are taken from it, one part after
 * another, and the others asked for.
 */
export function symbolSource(
  joint: Symbols | undefined,
  own: (stream: Stream) => Symbols,
): (stream: Stream) => Symbols {
  let position = 0
  return (stream) => {
    if (stream.codec !== JOINT) return own(stream)
    position += stream.count
    return joint!.subarray(position - stream.count, position)
  }
}

/** What contents are put together from. */
export interface Parts {
  /** The symbols of a stream, decoded now or before. */
  symbols(stream: Stream): Symbols
  /** The next bytes of the shared stream of the content's element type. */
  shared(length: number): Uint8Array
}

/** Writes a content to `target`. @throws DataError when its parts contradict each other. */
export function decodeContent(
  content: Content,
  element: ElementType,
  target: Uint8Array,
  parts: Parts,
  place: string,
): void {
  const nested = (inner: Content, length: number): Uint8Array => {
    const bytes = new Uint8Array(length)
    decodeContent(inner, element, bytes, parts, place)
    return bytes
  }
  switch (content.kind) {
    case 'shared':
      return target.set(parts.shared(content.length))
    case 'planes':
      return joinPlanes(
        content.planes.map((plane) => parts.symbols(plane)),
        element,
        target,
      )
    case 'symbols':
      return fromSymbols(parts.symbols(content.codes), element, target)
    case 'ascending':
      return fromSteps(parts.symbols(content.steps), element, target)
    case 'palette': {
      const book = nested(content.codebook, content.size * element.width)
      const codes = parts.symbols(content.codes)
      const { width } = element
      if (width === 2 || width === 4) {
        const values = toWords(book, width)
        const words = width === 2 ? new Uint16Array(codes.length) : new Uint32Array(codes.length)
        for (let i = 0; i < codes.length; i++) words[i] = values[codes[i]]
        return fromWords(words, target)
      }
      for (let i = 0; i < codes.length; i++)
        for (let b = 0; b < width; b++) target[i * width + b] = book[codes[i] * width + b]
      return
    }
    case 'masked': {
      const mask = parts.symbols(content.mask)
      const values = nested(content.values, content.nonzero * element.width)
      const { width } = element
      let taken = 0
      for (let i = 0; i < mask.length; i++) {
        if (mask[i] === 0) continue
        if (taken === values.length) break
        for (let b = 0; b < width; b++) target[i * width + b] = values[taken++]
      }
      let marked = 0
      for (const bit of mask) marked += bit
      if (marked !== content.nonzero)
        throw new DataError('pack-mask', `the mask of ${place} marks ${marked} elements, not ${content.nonzero}`, {
          place,
        })
    }
  }
}
