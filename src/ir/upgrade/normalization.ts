/** Softmax and its kin, and the normalizations. */
import { UnsupportedError } from '../../errors.ts'
import { toFloat32, fromFloat32 } from '../../tensor/half.ts'
import { int64 } from '../../tensor/tensor.ts'
import { nodeLabel } from '../graph.ts'
import type { Node } from '../model.ts'
import {
  known,
  knownInt,
  standIn,
  without,
  withAttribute,
  withInput,
  type UpgradeContext,
  type UpgradeRule,
} from './rule.ts'

/** Until opset 12 all axes from `axis` on were one: exactly one of them may be longer than 1 for the new form to do the same. */
function upgradeSoftmax(node: Node, context: UpgradeContext): Node {
  const axis = knownInt(node, 'axis', 1)
  const shape = context.type(node.inputs[0])?.shape
  if (shape) {
    const first = axis < 0 ? axis + shape.length : axis
    const long = shape.flatMap((dim, i) => (i >= first && dim !== 1 ? [i] : []))
    if (long.length <= 1 && first < shape.length)
      return withAttribute(node, 'axis', { kind: 'int', value: long[0] ?? shape.length - 1 })
  }
  const original = context.emit('Shape', [node.inputs[0]])
  const flat = context.emit('Flatten', [node.inputs[0]], { axis })
  const normalized = context.emit(node.op, [flat], { axis: -1 })
  return standIn(node, 'Reshape', [normalized, original])
}

/** `spatial = 0`: statistics for each element of a sample instead of each channel. */
function upgradePerElement(node: Node, context: UpgradeContext): Node {
  const [x, scale, bias, mean, variance] = node.inputs
  const attribute = known(node, 'epsilon')
  const value = Float32Array.of(attribute?.kind === 'float' ? attribute.value : 1e-5)
  const dtype = context.type(x)?.dtype ?? 'float32'
  const epsilon = context.literal(`${node.outputs[0]}_epsilon`, fromFloat32(dtype, [], value))
  const deviation = context.emit('Sqrt', [context.emit('Add', [variance, epsilon])])
  const normal = context.emit('Div', [context.emit('Sub', [x, mean]), deviation])
  return standIn(node, 'Add', [context.emit('Mul', [normal, scale]), bias])
}

/** Until opset 13 the number of outputs said whether the node was training. */
function upgradeTraining(node: Node): Node {
  const outputs = node.outputs.filter((output) => output !== '')
  if (outputs.length === 1) return { ...node, outputs }
  if (node.outputs.slice(3).some((output) => output !== ''))
    throw new UnsupportedError('upgrade-batch-norm', 'BatchNormalization no longer gives the saved mean and variance', {
      place: nodeLabel(node),
      hint: 'Export the model for inference.',
    })
  return withAttribute({ ...node, outputs: node.outputs.slice(0, 3) }, 'training_mode', { kind: 'int', value: 1 })
}

/** Scale and bias had one number a group and have one a channel from opset 21 on. */
function upgradeGroups(node: Node, context: UpgradeContext): Node {
  const groups = knownInt(node, 'num_groups', 1)
  const channels = context.type(node.inputs[0])?.shape?.[1]
  return [1, 2].reduce((current, input) => {
    const name = node.inputs[input]
    const tensor = context.constant(name)
    if (tensor && typeof channels === 'number') {
      const values = toFloat32(tensor)
      const spread = Float32Array.from({ length: channels }, (_, c) => values[Math.floor((c * groups) / channels)])
      return withInput(
        current,
        input,
        context.literal(`${name}_channels`, fromFloat32(tensor.dtype, [channels], spread)),
      )
    }
    const count = context.emit('Shape', [node.inputs[0]], { start: 1, end: 2 })
    const divisor = context.literal(`${name}_groups`, int64([groups]))
    const target = context.emit('Concat', [divisor, context.emit('Div', [count, divisor])], { axis: 0 })
    const column = context.emit('Unsqueeze', [name, context.literal(`${name}_axis`, int64([1]))])
    const spread = context.emit('Expand', [column, target])
    const flat = context.emit('Reshape', [spread, context.literal(`${name}_flat`, int64([-1]))])
    return withInput(current, input, flat)
  }, node)
}

export const normalizationRules: readonly UpgradeRule[] = [
  ...['Softmax', 'LogSoftmax', 'Hardmax'].map((op): UpgradeRule => ({ op, since: 13, upgrade: upgradeSoftmax })),
  {
    op: 'BatchNormalization',
    since: 7,
    upgrade: (node) => {
      const inference = knownInt(node, 'is_test', 0) !== 0
      const bare = without(node, 'is_test', 'consumed_inputs')
      return inference ? { ...bare, outputs: node.outputs.slice(0, 1) } : bare
    },
  },
  {
    op: 'BatchNormalization',
    since: 9,
    upgrade: (node, context) =>
      knownInt(node, 'spatial', 1) === 0 ? upgradePerElement(node, context) : without(node, 'spatial'),
  },
  { op: 'BatchNormalization', since: 14, upgrade: upgradeTraining },
  { op: 'GroupNormalization', since: 21, upgrade: upgradeGroups },
]
