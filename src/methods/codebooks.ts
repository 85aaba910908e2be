import { createDraft } from '../ir/draft.ts'
import type { Model } from '../ir/model.ts'
import type { Layer } from '../ir/rewrite.ts'
import type { DType } from '../tensor/dtype.ts'
import { fromFloat32 } from '../tensor/half.ts'
import { createTensor, type Tensor } from '../tensor/tensor.ts'

/** The weight of a layer as places in a codebook, or in one for each output channel. */
export interface CodebookLayer {
  readonly layer: Layer
  readonly dtype: DType
  readonly shape: readonly number[]
  /** One code a weight: [...shape]. */
  readonly codes: Uint16Array
  /** [k], or [channels, k] row-major. */
  readonly codebook: Float32Array
  /** Entries of the codebook of a channel. */
  readonly entries: number
  readonly channels: number
  /** Whether entry 0 is the number zero and must stay it in training. */
  readonly zeroFirst: boolean
}

/**
 * The graph with codebooks in the place of the weights, and the names of the initializers that hold them, by weight.
 * In the form for training an entry that must stay zero is kept apart: codebook = Concat(0, the others). A codebook of
 * nothing else has no name: there is nothing to train.
 */
export function withCodebooks(model: Model, shared: readonly CodebookLayer[], forTraining: boolean) {
  const codebooks = new Map<string, string>()
  if (shared.length === 0) return { model, codebooks }
  const draft = createDraft(model)
  for (const item of shared) {
    const { layer, dtype, shape, codes, codebook, entries, channels } = item
    const name = layer.weight
    const width = entries <= 256 ? 'uint8' : 'uint16'
    const data = width === 'uint8' ? Uint8Array.from(codes) : codes
    const indices = draft.constant(`${name}.indices`, createTensor(width, shape, data) as Tensor)
    let position = draft.add('Cast', [indices], { to: 6 })
    if (channels > 1) {
      const offsetShape = shape.map((size, axis) => (axis === layer.outAxis ? size : 1))
      const offsets = createTensor(
        'int32',
        offsetShape,
        Int32Array.from({ length: channels }, (_, c) => c * entries),
      )
      position = draft.add('Add', [position, draft.constant(`${name}.offsets`, offsets)])
    }
    let book: string
    if (forTraining && item.zeroFirst && entries > 1) {
      const { zero, rest } = apart(item)
      const kept = draft.constant(`${name}.codebook`, fromFloat32(dtype, [channels, entries - 1], rest))
      codebooks.set(name, kept)
      const whole = draft.add(
        'Concat',
        [draft.constant(`${name}.zero`, fromFloat32(dtype, [channels, 1], zero)), kept],
        { axis: 1 },
      )
      const flat = createTensor('int64', [1], BigInt64Array.of(-1n))
      book = draft.add('Reshape', [whole, draft.constant(`${name}.flat`, flat)])
    } else {
      book = draft.constant(`${name}.codebook`, fromFloat32(dtype, [codebook.length], codebook))
      if (!item.zeroFirst || entries > 1) codebooks.set(name, book)
    }
    const gathered = draft.add('Gather', [book, position], { axis: 0 }, { name: `${name}.shared` })
    draft.redirect(name, gathered)
  }
  return { model: draft.finish(), codebooks }
}

function apart({ codebook, entries, channels }: CodebookLayer): { zero: Float32Array; rest: Float32Array } {
  const rest = new Float32Array(channels * (entries - 1))
  for (let c = 0; c < channels; c++) rest.set(codebook.subarray(c * entries + 1, (c + 1) * entries), c * (entries - 1))
  return { zero: new Float32Array(channels), rest }
}
