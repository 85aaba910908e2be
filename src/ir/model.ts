/**
 * The ONNX model as a value: the only intermediate representation of Espalier.
 * Everything here is read-only; `draft.ts` edits. Names are ONNX's own.
 * Fields of the official schema that nothing here interprets travel in `extras`, untouched.
 */
import type { DType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** A size: a number, a symbol such as 'batch', or null where the model does not say. */
export type Dim = number | string | null

export interface TensorType {
  readonly dtype: DType
  /** Absent where not even the rank is known. */
  readonly shape?: readonly Dim[]
}

/** Schema content carried but not interpreted; only `formats/onnx` looks inside. */
export type Extras = unknown

export interface ValueInfo {
  readonly name: string
  /** Absent for sequences, maps and optionals, whose type stays in `extras`, and where none is declared. */
  readonly type?: TensorType
  readonly doc?: string
  readonly extras?: Extras
}

type AttributeForm =
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'int'; readonly value: number | bigint }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'graph'; readonly value: Graph }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'ints'; readonly value: readonly (number | bigint)[] }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly kind: 'graphs'; readonly value: readonly Graph[] }
  /** Inside a local function: stands for the caller's attribute of that name. */
  | { readonly kind: 'reference'; readonly value: string }
  /** Sparse tensors, type protos and strings that are not UTF-8. */
  | { readonly kind: 'opaque'; readonly extras: Extras }

/** A value of one of ONNX's attribute kinds. A new attribute made from an old one need not carry its extras. */
export type Attribute = AttributeForm & { readonly extras?: Extras }

export interface Node {
  readonly name: string
  readonly op: string
  /** '' is the standard ONNX domain ('ai.onnx' is read as ''). */
  readonly domain: string
  /** The empty string stands for an optional input that is left out. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly doc?: string
  readonly extras?: Extras
}

export interface Graph {
  readonly name: string
  /** In topological order. */
  readonly nodes: readonly Node[]
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  readonly initializers: ReadonlyMap<string, Tensor>
  /** Declared types of inner values. */
  readonly values: readonly ValueInfo[]
  readonly doc?: string
  readonly extras?: Extras
}

/** A function that the model brings along: an operator with a body of nodes. */
export interface LocalFunction {
  readonly name: string
  readonly domain: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Names of attributes without a default. */
  readonly attributes: readonly string[]
  readonly attributeDefaults: Readonly<Record<string, Attribute>>
  readonly nodes: readonly Node[]
  readonly opsets: ReadonlyMap<string, number>
  readonly doc?: string
  readonly extras?: Extras
}

export interface Model {
  readonly irVersion: number
  /** Domain to version; '' is the standard domain. */
  readonly opsets: ReadonlyMap<string, number>
  readonly graph: Graph
  readonly functions: readonly LocalFunction[]
  readonly producerName?: string
  readonly producerVersion?: string
  readonly domain?: string
  readonly modelVersion?: number | bigint
  readonly doc?: string
  /** ONNX's metadata_props. */
  readonly metadata: ReadonlyMap<string, string>
  readonly extras?: Extras
}

/** The domain of Espalier's own operators: gradients and straight-through functions; never in an exported model. */
export const ESPALIER_DOMAIN = 'espalier'

/** The standard opset whose forms all rules assume; loading raises older models to it. */
export const CANONICAL_OPSET = 21

/** A node attribute as a number; int64 beyond the safe range saturates. @returns `fallback` when absent. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes[name]
  return attribute?.kind === 'int' ? Number(attribute.value) : fallback
}

export function intsAttribute(node: Node, name: string): number[] | undefined {
  const attribute = node.attributes[name]
  return attribute?.kind === 'ints' ? attribute.value.map(Number) : undefined
}

export function floatAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes[name]
  return attribute?.kind === 'float' ? attribute.value : fallback
}

export function stringAttribute(node: Node, name: string, fallback: string): string {
  const attribute = node.attributes[name]
  return attribute?.kind === 'string' ? attribute.value : fallback
}

export function tensorAttribute(node: Node, name: string): Tensor | undefined {
  const attribute = node.attributes[name]
  return attribute?.kind === 'tensor' ? attribute.value : undefined
}

/** The sub-graphs in a node's attributes (If, Loop, Scan). */
export function subgraphs(node: Node): readonly Graph[] {
  const result: Graph[] = []
  for (const attribute of Object.values(node.attributes)) {
    if (attribute.kind === 'graph') result.push(attribute.value)
    else if (attribute.kind === 'graphs') result.push(...attribute.value)
  }
  return result
}

/** The key under which operator records and rules are found: the type, with the domain in front unless standard. */
export function operatorKey(node: Pick<Node, 'op' | 'domain'>): string {
  return node.domain === '' ? node.op : `${node.domain}.${node.op}`
}
