/** What changed in an operator from one opset to the next, as a rule that rewrites a node. */
import { UnsupportedError } from '../../errors.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { AttributeValue } from '../draft.ts'
import { nodeLabel } from '../graph.ts'
import type { Attribute, Node, TensorType } from '../model.ts'

export interface UpgradeContext {
  /** The opset that the model declares. */
  readonly from: number
  type(value: string): TensorType | undefined
  constant(value: string): Tensor | undefined
  /** Adds a constant to the graph of the node and returns its name. */
  literal(hint: string, tensor: Tensor): string
  /** Adds a node in canonical form before the one that is rewritten, and returns its output. */
  emit(op: string, inputs: readonly string[], attributes?: Record<string, AttributeValue>): string
  /** Adds a complete node before the one that is rewritten. */
  add(node: Node): void
  /** A name that no value has. */
  fresh(hint: string): string
}

export interface UpgradeRule {
  readonly op: string
  /** The opset whose form the rule gives. */
  readonly since: number
  /** The node in the form of opset `since`, or another one that gives its first output. */
  upgrade(node: Node, context: UpgradeContext): Node
}

/** The node without some attributes. */
export function without(node: Node, ...names: readonly string[]): Node {
  const kept = Object.entries(node.attributes).filter(([name]) => !names.includes(name))
  return { ...node, attributes: Object.fromEntries(kept) }
}

/** The node with an attribute set. */
export function withAttribute(node: Node, name: string, value: Attribute): Node {
  return { ...node, attributes: { ...node.attributes, [name]: value } }
}

/** The node with input `index` set. */
export function withInput(node: Node, index: number, value: string): Node {
  const inputs = [...node.inputs]
  while (inputs.length < index) inputs.push('')
  inputs[index] = value
  return { ...node, inputs }
}

/** A node that takes the place of `node` for its first output. */
export function standIn(
  node: Node,
  op: string,
  inputs: readonly string[],
  attributes: Record<string, Attribute> = {},
): Node {
  return { ...node, op, inputs, outputs: [node.outputs[0]], attributes, extras: undefined }
}

/**
 * An attribute whose value the rule must know.
 * @throws UnsupportedError when it stands for the attribute of a function's caller, which differs from call to call.
 */
export function known(node: Node, name: string): Attribute | undefined {
  const attribute = node.attributes[name]
  if (attribute?.kind === 'reference')
    throw new UnsupportedError(
      'upgrade-reference',
      `${node.op} of an old opset takes '${name}' from the caller of a local function`,
      { place: nodeLabel(node), hint: 'Convert the model to opset 21 with the tool that wrote it.' },
    )
  return attribute
}

export function knownInt(node: Node, name: string, fallback: number): number {
  const attribute = known(node, name)
  return attribute?.kind === 'int' ? Number(attribute.value) : fallback
}
