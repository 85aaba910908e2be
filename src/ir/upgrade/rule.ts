/** What changed in an operator from one opset to the next, as a rule that rewrites a node. */
import type { Tensor } from '../../tensor/tensor.ts'
import type { AttributeValue } from '../draft.ts'
import type { Node, TensorType } from '../model.ts'

export interface UpgradeContext {
  /** The opset that the model declares. */
  readonly from: number
  type(value: string): TensorType | undefined
  constant(value: string): Tensor | undefined
  /** Adds a constant to the graph of the node and returns its name. */
  literal(hint: string, tensor: Tensor): string
  /** Adds a node in canonical form before the one that is rewritten, and returns its output. */
  emit(op: string, inputs: readonly string[], attributes?: Record<string, AttributeValue>): string
}

export interface UpgradeRule {
  readonly op: string
  /** The opset whose form the rule gives. */
  readonly since: number
  /** The node in the form of opset `since`; its outputs stay, or move to the node that is returned. */
  upgrade(node: Node, context: UpgradeContext): Node
}
