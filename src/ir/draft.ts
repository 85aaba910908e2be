import { UsageError } from '../errors.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Attribute, Dim, Graph, Model, Node, ValueInfo } from './model.ts'
import type { DType } from '../tensor/dtype.ts'

/** Plain values that `draft.add` turns into attributes: integers in `ints`, others in `floats` by explicit attribute. */
export type AttributeValue =
  | Attribute
  | number
  | string
  | boolean
  | readonly number[]
  | readonly string[]
  | Tensor
  | Graph

export interface NodeOptions {
  readonly domain?: string
  /** The node's name; made unique. Defaults to the operator's type. */
  readonly name?: string
  /** The outputs: how many, or their names (made unique unless they are exactly free). Default 1. */
  readonly outputs?: number | readonly string[]
}

/**
 * A graph under construction: started empty or from a model, edited in place, and turned into a new `Model` by `finish`.
 * The model that it started from is never changed.
 */
export interface Draft {
  readonly inputs: ValueInfo[]
  readonly outputs: ValueInfo[]
  readonly nodes: Node[]
  readonly initializers: Map<string, Tensor>
  readonly opsets: Map<string, number>
  readonly metadata: Map<string, string>
  /** Declares a graph input and returns its name. */
  input(name: string, dtype: DType, shape?: readonly Dim[]): string
  /** Declares an existing value as graph output. */
  output(name: string, dtype?: DType, shape?: readonly Dim[]): void
  /** Adds an initializer under a fresh name made from `hint` and returns the name. */
  constant(hint: string, tensor: Tensor): string
  /** Appends a node and returns its only output. */
  add(
    op: string,
    inputs: readonly (string | undefined)[],
    attributes?: Record<string, AttributeValue>,
    options?: NodeOptions,
  ): string
  /** Appends a node and returns all its outputs. */
  addMany(
    op: string,
    inputs: readonly (string | undefined)[],
    attributes?: Record<string, AttributeValue>,
    options?: NodeOptions,
  ): string[]
  /** A name that nothing in the graph or its sub-graphs uses yet. */
  fresh(hint: string): string
  /** Makes every reader of `from` (nodes, and optionally graph outputs) read `to` instead; sub-graphs too. */
  redirect(from: string, to: string): void
  /** Sorts topologically, drops nodes and initializers that nothing reads, and returns the model. @throws ModelError on a cycle. */
  finish(options?: { readonly keepUnused?: boolean }): Model
}

/** Float attributes must be told apart from integers: `float(1)` is a float, a bare 1 an int. */
export const float = (value: number): Attribute => ({ kind: 'float', value })
export const floats = (value: readonly number[]): Attribute => ({ kind: 'floats', value })

/** Turns a plain value into an attribute: whole numbers become ints, others floats; an empty list becomes ints. */
export function toAttribute(value: AttributeValue): Attribute {
  if (typeof value === 'number') return Number.isInteger(value) ? { kind: 'int', value } : { kind: 'float', value }
  if (typeof value === 'boolean') return { kind: 'int', value: value ? 1 : 0 }
  if (typeof value === 'string') return { kind: 'string', value }
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item === 'string') && value.length > 0)
      return { kind: 'strings', value: value as string[] }
    if (!value.every(Number.isInteger)) return { kind: 'floats', value: value as number[] }
    return { kind: 'ints', value: value as number[] }
  }
  if ('kind' in (value as object)) return value as Attribute
  if ('dtype' in (value as object)) return { kind: 'tensor', value: value as Tensor }
  if ('nodes' in (value as object)) return { kind: 'graph', value: value as Graph }
  throw new UsageError('attribute-value', `no ONNX attribute can hold ${String(value)}`)
}
