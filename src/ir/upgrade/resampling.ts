/** Upsample, Resize and other operators that read between elements. */
import { UnsupportedError } from '../../errors.ts'
import { toFloat32 } from '../../tensor/half.ts'
import { elementCount, float32 } from '../../tensor/tensor.ts'
import { nodeLabel } from '../graph.ts'
import { stringAttribute, type Attribute, type Node } from '../model.ts'
import { known, without, withAttribute, withInput, type UpgradeContext, type UpgradeRule } from './rule.ts'

const text = (value: string): Attribute => ({ kind: 'string', value })

/**
 * Opset 10 named neither the mapping of coordinates nor the rounding: it was output / scale, rounded down when an axis grows
 * and, in onnxruntime, up when it shrinks.
 */
function upgradeResize(node: Node, context: UpgradeContext): Node {
  const [x, scales] = node.inputs
  const form = (input: string, factors: string, rounding: string): Node => ({
    ...node,
    inputs: [input, '', factors],
    attributes: {
      ...node.attributes,
      coordinate_transformation_mode: text('asymmetric'),
      nearest_mode: text(rounding),
    },
  })
  const constant = context.constant(scales)
  const factors = constant ? [...toFloat32(constant)] : []
  if (stringAttribute(node, 'mode', 'nearest') !== 'nearest' || factors.every((factor) => factor >= 1))
    return form(x, scales, 'floor')
  if (factors.every((factor) => factor <= 1)) return form(x, scales, 'ceil')
  const part = (name: string, keep: (factor: number) => boolean) =>
    context.literal(`${scales}_${name}`, float32(factors.map((factor) => (keep(factor) ? factor : 1))))
  const grown = context.fresh(`${node.outputs[0]}_grown`)
  context.add({
    ...form(
      x,
      part('up', (factor) => factor > 1),
      'floor',
    ),
    name: grown,
    outputs: [grown],
  })
  return form(
    grown,
    part('down', (factor) => factor < 1),
    'ceil',
  )
}

/** Since opset 13 inputs that do not count are left out; before, they were empty tensors. */
function dropEmptyInputs(node: Node, context: UpgradeContext): Node {
  const inputs = node.inputs.map((input, index) => {
    const shape = context.constant(input)?.shape ?? context.type(input)?.shape
    const empty = index > 0 && shape?.every((dim) => typeof dim === 'number') && elementCount(shape) === 0
    return empty ? '' : input
  })
  return { ...node, inputs }
}

const interpolations: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' }

export const resamplingRules: readonly UpgradeRule[] = [
  {
    op: 'Upsample',
    since: 9,
    upgrade: (node, context) => {
      const scales = known(node, 'scales')
      if (scales?.kind !== 'floats') return node
      const name = context.literal(`${node.outputs[0]}_scales`, float32(scales.value))
      return withInput(without(node, 'scales'), 1, name)
    },
  },
  { op: 'Upsample', since: 10, upgrade: (node) => ({ ...node, op: 'Resize' }) },
  { op: 'Resize', since: 11, upgrade: upgradeResize },
  { op: 'Resize', since: 13, upgrade: dropEmptyInputs },
  {
    op: 'GridSample',
    since: 20,
    upgrade: (node) => {
      known(node, 'mode')
      const mode = stringAttribute(node, 'mode', 'bilinear')
      return withAttribute(node, 'mode', text(interpolations[mode] ?? mode))
    },
  },
  {
    op: 'RoiAlign',
    since: 16,
    upgrade: (node) => withAttribute(node, 'coordinate_transformation_mode', text('output_half_pixel')),
  },
  {
    op: 'Scan',
    since: 9,
    upgrade: (node) => {
      throw new UnsupportedError('upgrade-scan', 'the batched Scan of opset 8 has no later form', {
        place: nodeLabel(node),
        hint: 'Export the model with opset 9 or later.',
      })
    },
  },
]
