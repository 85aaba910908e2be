/** Operators that took broadcasting from numpy in opset 7; before, an attribute said where the second operand lies. */
import { int64 } from '../../tensor/tensor.ts'
import { UnsupportedError } from '../../errors.ts'
import { nodeLabel } from '../graph.ts'
import type { Node } from '../model.ts'
import { knownInt, without, withInput, type UpgradeContext, type UpgradeRule } from './rule.ts'

/** Puts `count` axes of size 1 behind the axes of input 1, so that numpy's rule finds it where it was. */
function withTrailingAxes(node: Node, count: number, context: UpgradeContext): Node {
  if (count <= 0) return node
  const rank = context.type(node.inputs[1])?.shape?.length ?? 0
  const axes = int64(Array.from({ length: count }, (_, i) => rank + i))
  const name = context.literal(`${node.outputs[0]}_axes`, axes)
  return withInput(node, 1, context.emit('Unsqueeze', [node.inputs[1], name]))
}

function upgradeBroadcast(node: Node, context: UpgradeContext): Node {
  const bare = without(node, 'broadcast', 'axis', 'consumed_inputs')
  if (knownInt(node, 'broadcast', 0) === 0 || !node.attributes['axis']) return bare
  const first = context.type(node.inputs[0])?.shape?.length
  const second = context.type(node.inputs[1])?.shape?.length
  if (first === undefined || second === undefined)
    throw new UnsupportedError('upgrade-broadcast', `${node.op} of opset 6 broadcasts operands of unknown rank`, {
      place: nodeLabel(node),
      hint: 'Export the model with a later opset, or with the shapes of its inputs.',
    })
  const axis = knownInt(node, 'axis', 0)
  return withTrailingAxes(bare, first - (axis < 0 ? axis + first : axis) - second, context)
}

const BINARY = ['Add', 'Sub', 'Mul', 'Div', 'Pow', 'And', 'Or', 'Xor', 'Equal', 'Greater', 'Less']

const UNARY = ['Abs', 'Ceil', 'Elu', 'Exp', 'Floor', 'HardSigmoid', 'InstanceNormalization', 'LeakyRelu', 'Log', 'Max']
const OTHERS = ['Mean', 'Min', 'Neg', 'Reciprocal', 'Relu', 'Selu', 'Sigmoid', 'Sqrt', 'Sum', 'Tanh', 'Clip', 'PRelu']

export const broadcastRules: readonly UpgradeRule[] = [
  ...[...UNARY, ...OTHERS].map((op): UpgradeRule => ({
    op,
    since: 6,
    upgrade: (node) => without(node, 'consumed_inputs'),
  })),
  ...BINARY.map((op): UpgradeRule => ({ op, since: 7, upgrade: upgradeBroadcast })),
  { op: 'Gemm', since: 7, upgrade: (node) => without(node, 'broadcast') },
  {
    // The slope was one number a channel.
    op: 'PRelu',
    since: 7,
    upgrade: (node, context) => {
      const rank = context.type(node.inputs[0])?.shape?.length ?? 0
      const slope = context.type(node.inputs[1])?.shape
      return slope?.length === 1 && slope[0] !== 1 ? withTrailingAxes(node, rank - 2, context) : node
    },
  },
]
