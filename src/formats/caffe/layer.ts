import { UnsupportedError } from '../../errors.ts'
import type { AttributeValue, Draft } from '../../ir/draft.ts'
import type { CaffeLayer } from './network.ts'
import type { ProtoReader } from './prototxt.ts'

/** A value of the graph under construction. */
export interface Blob {
  readonly value: string
  /** As Caffe would have it for the batch of the file, `[batch, channels, height, width]` as a rule. */
  readonly shape: readonly number[]
}

/** The weights that a layer needs. */
export interface LayerParameters {
  readonly layer: string
  /** `[out, in / groups, height, width]` or `[out, in]`. */
  readonly shape: readonly number[]
  /** The length of the bias. */
  readonly outputs: number
  readonly place: string
}

/** Gives the names of the values that hold weight and bias of a layer. */
export type ParameterSource = (wanted: LayerParameters, draft: Draft) => readonly [weight: string, bias: string]

/** What a layer type gets to build its nodes. */
export interface LayerContext {
  readonly layer: CaffeLayer
  /** The message of the layer's own options; empty where there is none. */
  readonly options: ProtoReader
  readonly inputs: readonly Blob[]
  readonly draft: Draft
  /** Appends the node that makes the layer's top, and gives its value. */
  emit(op: string, inputs: readonly string[], attributes?: Record<string, AttributeValue>): string
  /** Values with the layer's weight, of `shape`, and its bias, of `shape[0]` numbers. */
  parameters(shape: readonly number[]): readonly [weight: string, bias: string]
}

/** A type of Caffe's layers: what its options mean in ONNX, when nothing is trained. */
export interface CaffeLayerType {
  /** Caffe's name; the older one, such as INNER_PRODUCT, follows from it. */
  readonly type: string
  /** The field with its options. */
  readonly options?: string
  /** Fields of the options that say how and not what is computed, or that matter to training only. */
  readonly ignored?: readonly string[]
  /** The fewest and the most bottoms. Default: one. */
  readonly bottoms?: readonly [number, number]
  /**
   * Appends the nodes and returns the top; a layer with several tops gives each the same.
   * @throws UnsupportedError for what ONNX or Espalier does not have.
   */
  build(context: LayerContext): Blob
}

export function defineCaffeLayer(type: CaffeLayerType): CaffeLayerType {
  return Object.freeze(type)
}

/** @returns an error that names the layer, to be thrown. */
export function unsupported({ layer }: Pick<LayerContext, 'layer'>, problem: string, hint: string): UnsupportedError {
  return new UnsupportedError('caffe-layer', `the layer '${layer.name}' ${problem}`, {
    place: layer.fields.place,
    hint,
  })
}

/** The axis that an option means, counted from the front. @throws UnsupportedError for that of the batch, and beyond the last. */
export function axisOf(context: LayerContext, wanted: number, rank: number): number {
  const axis = wanted < 0 ? wanted + rank : wanted
  if (axis >= 1 && axis < rank) return axis
  throw unsupported(context, `works along axis ${wanted} of ${rank}`, 'Only the axes behind the batch are supported.')
}
