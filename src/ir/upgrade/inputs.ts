/** Operators whose attributes became inputs. */
import { dtypes, type DType } from '../../tensor/dtype.ts'
import { fromFloat32 } from '../../tensor/half.ts'
import { float32, int64, scalar, type Tensor } from '../../tensor/tensor.ts'
import type { Node } from '../model.ts'
import { known, knownInt, without, withAttribute, withInput, type UpgradeContext, type UpgradeRule } from './rule.ts'

/**
 * Moves an attribute of integers to an input. In a function body, where it may stand for the caller's attribute, the input
 * comes from a Constant that refers to it.
 */
function toInput(node: Node, name: string, index: number, context: UpgradeContext): Node {
  const attribute = node.attributes[name]
  const hint = `${node.outputs[0]}_${name}`
  switch (attribute?.kind) {
    case 'ints':
      return withInput(without(node, name), index, context.literal(hint, int64(attribute.value)))
    case 'int':
      return withInput(without(node, name), index, context.literal(hint, int64([attribute.value])))
    case 'reference':
      return withInput(without(node, name), index, context.emit('Constant', [], { value_ints: attribute }))
    default:
      return node
  }
}

const integersToInput = (op: string, since: number, name: string): UpgradeRule => ({
  op,
  since,
  upgrade: (node, context) => toInput(node, name, 1, context),
})

/** A number as a scalar of the type that `value` has; float32 where that is unknown. */
function scalarLike(number: number, value: string, context: UpgradeContext): Tensor {
  const dtype = context.type(value)?.dtype ?? 'float32'
  if (dtype === 'float64') return scalar('float64', number)
  return fromFloat32(dtypes[dtype].kind === 'float' ? dtype : ('float32' satisfies DType), [], Float32Array.of(number))
}

function floatToInput(node: Node, name: string, index: number, context: UpgradeContext): Node {
  const attribute = node.attributes[name]
  if (attribute?.kind === 'reference')
    return withInput(without(node, name), index, context.emit('Constant', [], { value_float: attribute }))
  if (attribute?.kind !== 'float') return node
  const tensor = scalarLike(attribute.value, node.inputs[0], context)
  return withInput(without(node, name), index, context.literal(`${node.outputs[0]}_${name}`, tensor))
}

const REDUCTIONS = ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare']

export const inputRules: readonly UpgradeRule[] = [
  {
    op: 'Reshape',
    since: 5,
    upgrade: (node, context) => without(toInput(node, 'shape', 1, context), 'consumed_inputs'),
  },
  integersToInput('Squeeze', 13, 'axes'),
  integersToInput('Unsqueeze', 13, 'axes'),
  integersToInput('ReduceSum', 13, 'axes'),
  ...REDUCTIONS.map((kind) => integersToInput(`Reduce${kind}`, 18, 'axes')),
  integersToInput('Split', 13, 'split'),
  {
    op: 'Split',
    since: 18,
    upgrade: (node) =>
      node.inputs[1] ? node : withAttribute(node, 'num_outputs', { kind: 'int', value: node.outputs.length }),
  },
  {
    op: 'Slice',
    since: 10,
    upgrade: (node, context) =>
      ['starts', 'ends', 'axes'].reduce((current, name, i) => toInput(current, name, i + 1, context), node),
  },
  {
    op: 'Pad',
    since: 2,
    upgrade: (node) => {
      const pads = node.attributes['paddings']
      return pads ? withAttribute(without(node, 'paddings'), 'pads', pads) : node
    },
  },
  {
    op: 'Pad',
    since: 11,
    upgrade: (node, context) => floatToInput(toInput(node, 'pads', 1, context), 'value', 2, context),
  },
  {
    op: 'Clip',
    since: 11,
    upgrade: (node, context) => floatToInput(floatToInput(node, 'min', 1, context), 'max', 2, context),
  },
  integersToInput('TopK', 10, 'k'),
  {
    op: 'DFT',
    since: 20,
    upgrade: (node, context) => {
      const axis = scalar('int64', knownInt(node, 'axis', 1))
      return withInput(without(node, 'axis'), 2, context.literal(`${node.outputs[0]}_axis`, axis))
    },
  },
  {
    // The mask had the type of the data and became bool in opset 10.
    op: 'Dropout',
    since: 10,
    upgrade: (node, context) => {
      const mask = node.outputs[1]
      const inference = without(node, 'is_test', 'consumed_inputs')
      if (!mask) return inference
      const flags = context.fresh(`${mask}_bool`)
      const data = context.fresh(`${node.outputs[0]}_dropout`)
      const ratio = known(node, 'ratio')
      const inputs = [node.inputs[0]]
      if (ratio?.kind === 'float') inputs.push(context.literal(`${data}_ratio`, float32([ratio.value], [])))
      context.add({ ...without(inference, 'ratio'), name: data, inputs, outputs: [data, flags] })
      const to = { kind: 'int', value: context.type(node.inputs[0])?.dtype === 'float16' ? 10 : 1 } as const
      const cast = { op: 'Cast', inputs: [flags], outputs: [mask], attributes: { to } }
      context.add({ ...node, ...cast, name: `${mask}_cast` })
      return { ...node, op: 'Identity', inputs: [data], outputs: [node.outputs[0]], attributes: {} }
    },
  },
  {
    op: 'Dropout',
    since: 12,
    upgrade: (node, context) => {
      const attribute = known(node, 'ratio')
      if (attribute?.kind !== 'float') return node
      const ratio = context.literal(`${node.outputs[0]}_ratio`, float32([attribute.value], []))
      return withInput(without(node, 'ratio'), 1, ratio)
    },
  },
  ...['RNN', 'LSTM', 'GRU'].map((op): UpgradeRule => ({
    op,
    since: 7,
    upgrade: (node) => without(node, 'output_sequence'),
  })),
  { op: 'Scatter', since: 11, upgrade: (node) => ({ ...node, op: 'ScatterElements' }) },
]
