import { createTensor, elementCount } from '../tensor/tensor.ts'
import { checkIndices, type Dataset } from './dataset.ts'
import { byteTables, type Affine } from './preprocess.ts'

/** Images of one size in memory: eight bits a value, `[size, channels, height, width]` one after another. */
export interface ByteImages {
  readonly pixels: Uint8Array
  readonly labels: ArrayLike<number>
}

export interface ByteImageFacts {
  readonly name: string
  readonly size: number
  /** `[channels, height, width]` */
  readonly inputShape: readonly number[]
  readonly classes: number
  readonly classNames?: readonly string[]
  readonly affine: Affine
  /** The stored channel that is fed at each place; default: as stored. */
  readonly channelOrder?: readonly number[]
}

/**
 * A data set over eight-bit images; each batch is converted to float32 through a table.
 * @param load called by the first batch, once; it may also prepare just the records that it is given.
 */
export function byteImageDataset(
  facts: ByteImageFacts,
  load: (indices: ArrayLike<number>) => ByteImages | Promise<ByteImages>,
): Dataset {
  const { affine, channelOrder, ...rest } = facts
  const channels = facts.inputShape[0]
  const length = elementCount(facts.inputShape)
  const plane = length / channels
  const tables = byteTables(affine)
  return {
    ...rest,
    async batch(indices) {
      checkIndices(facts, indices)
      const { pixels, labels } = await load(indices)
      const inputs = new Float32Array(indices.length * length)
      let at = 0
      for (let n = 0; n < indices.length; n++) {
        for (let channel = 0; channel < channels; channel++) {
          const table = tables[channel]
          const from = indices[n] * length + (channelOrder?.[channel] ?? channel) * plane
          for (let i = from; i < from + plane; i++) inputs[at++] = table[pixels[i]]
        }
      }
      return {
        inputs: createTensor('float32', [indices.length, ...facts.inputShape], inputs),
        labels: Int32Array.from(indices, (index) => labels[index]),
      }
    },
  }
}

/** A part without examples, for sources that do not have it. */
export function emptyDataset(facts: Omit<Dataset, 'size' | 'batch'>): Dataset {
  return {
    ...facts,
    size: 0,
    async batch(indices) {
      checkIndices({ name: facts.name, size: 0 }, indices)
      return { inputs: createTensor('float32', [0, ...facts.inputShape], new Float32Array()), labels: new Int32Array() }
    },
  }
}

/** Calls `load` at the first use and keeps its result; a failure is not kept. */
export function once<T>(load: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => {
    result ??= load().catch((error: unknown) => {
      result = undefined
      throw error
    })
    return result
  }
}
