/** Operators whose integers moved from attributes to inputs. */
import { int64 } from '../../tensor/tensor.ts'
import type { Node } from '../model.ts'
import type { UpgradeContext, UpgradeRule } from './rule.ts'

/** The node without an attribute. */
export function without(node: Node, ...names: readonly string[]): Node {
  const kept = Object.entries(node.attributes).filter(([name]) => !names.includes(name))
  return { ...node, attributes: Object.fromEntries(kept) }
}

/**
 * Moves an attribute of integers to an input. In a function body, where it may stand for the caller's attribute, the input
 * comes from a Constant that refers to it.
 */
export function attributeToInput(node: Node, name: string, index: number, context: UpgradeContext): Node {
  const attribute = node.attributes[name]
  if (!attribute) return node
  let value: string
  if (attribute.kind === 'ints') value = context.literal(`${node.outputs[0]}_${name}`, int64(attribute.value))
  else if (attribute.kind === 'int') value = context.literal(`${node.outputs[0]}_${name}`, int64([attribute.value]))
  else if (attribute.kind === 'reference') {
    value = context.emit('Constant', [], { value_ints: attribute })
  } else return node
  const inputs = [...node.inputs]
  while (inputs.length < index) inputs.push('')
  inputs[index] = value
  return { ...without(node, name), inputs }
}

const toInput = (op: string, since: number, name: string): UpgradeRule => ({
  op,
  since,
  upgrade: (node, context) => attributeToInput(node, name, 1, context),
})

/** From opset 13 (ReduceSum, Squeeze, Unsqueeze, Split) and 18 (the other reductions) on. */
export const axesRules: readonly UpgradeRule[] = [
  toInput('Squeeze', 13, 'axes'),
  toInput('Unsqueeze', 13, 'axes'),
  toInput('ReduceSum', 13, 'axes'),
  ...['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare'].map((kind) =>
    toInput(`Reduce${kind}`, 18, 'axes'),
  ),
  toInput('Split', 13, 'split'),
  {
    op: 'Split',
    since: 18,
    upgrade: (node) =>
      node.inputs[1]
        ? node
        : { ...node, attributes: { ...node.attributes, num_outputs: { kind: 'int', value: node.outputs.length } } },
  },
]
