import { z } from 'zod'
import { createDraft, type Draft } from '../../ir/draft.ts'
import { graphIndex, type GraphIndex } from '../../ir/graph.ts'
import { floatAttribute, intAttribute, type Model, type Node } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import { dtypes } from '../../tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { fromFloat32, toFloat32 } from '../../tensor/half.ts'
import { createTensor, elementCount, type Tensor } from '../../tensor/tensor.ts'
import { chooseLayers, layerChoiceOptions } from '../layer-choice.ts'
import { defineMethod, type Context } from '../method.ts'
import { isPlainFloat } from '../weights.ts'

const options = z.strictObject({
  bits: z
    .number()
    .int()
    .min(4)
    .max(16)
    .default(12)
    .describe('where weights are integer codes: significant bits of a scale, and bits of a bias'),
  ...layerChoiceOptions,
})

type Options = z.infer<typeof options>

/**
 * Puts the normalization behind a layer into its weights: y = γ (W x + b − μ) / √(σ² + ε) + β is W' x + b' with
 * W' = a W and b' = a (b − μ) + β, a = γ / √(σ² + ε), equation 14 of the paper. Weights that are integer codes keep them:
 * only their scale becomes one for each output channel. Then four numbers a channel have become two, and in the file they
 * are short: scales of `bits` significant bits, biases as codes of `bits` bits. Where weights are plain floats nothing is
 * rounded but by their type.
 *
 * Differs from the paper: it folds while training, to quantize what will be used; we fold what was trained.
 */
export const foldBatchNorm = defineMethod({
  name: 'fold-batch-norm',
  family: 'architecture',
  summary: 'Puts each batch normalization into the weights and the bias of the layer in front of it.',
  paper: {
    title: 'Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference',
    authors: 'Jacob, Kligys, Chen, Zhu, Tang, Howard, Adam, Kalenichenko',
    venue: 'CVPR',
    year: 2018,
    arxiv: '1712.05877',
  },
  needs: [],
  options,
  apply: async (model: Model, { bits, ...choice }: Options, context: Context) => fold(model, bits, choice, context),
})

function fold(model: Model, bits: number, choice: Omit<Options, 'bits'>, context: Context): Model {
  const draft = createDraft(model)
  const index = graphIndex(model.graph)
  const gone = new Set<Node>()
  for (const layer of chooseLayers(model, choice, context)) {
    const norm = index.consumers(layer.node.outputs[0]).find(({ op, domain }) => isNorm(op, domain))
    if (!norm) continue
    const affine = affineOf(norm, draft)
    const reason = affine ? obstacle(model, layer, index) : 'its normalization is computed, or in training mode'
    if (!affine || reason !== undefined) {
      context.skip(layer.name, `its normalization stays: ${reason}`)
      continue
    }
    if (layer.source.length === 0) scaleWeights(draft, layer, affine.factor)
    else scaleCodes(draft, layer, affine.factor, bits, index)
    const before = layer.node.inputs[2] ? toFloat32(draft.initializers.get(layer.node.inputs[2])!) : undefined
    const bias = affine.factor.map((a, c) => a * ((before?.[c] ?? 0) - affine.mean[c]) + affine.shift[c])
    const name = biasInput(draft, layer, bias, layer.source.length === 0 ? undefined : bits)
    const position = draft.nodes.findIndex(({ outputs }) => outputs[0] === layer.node.outputs[0])
    const [x, w] = draft.nodes[position].inputs
    draft.nodes[position] = { ...draft.nodes[position], inputs: [x, w, name], outputs: [norm.outputs[0]] }
    gone.add(norm)
  }
  if (gone.size === 0) return model
  const outputs = new Set([...gone].map((node) => node.outputs[0]))
  const kept = draft.nodes.filter(({ op, domain, outputs: [output] }) => !(isNorm(op, domain) && outputs.has(output)))
  draft.nodes.splice(0, draft.nodes.length, ...sourcesFirst(kept))
  return draft.finish()
}

function isNorm(op: string, domain: string): boolean {
  return op === 'BatchNormalization' && domain === ''
}

/** New nodes for scales and biases were appended; what reads them comes after them. */
function sourcesFirst(nodes: readonly Node[]): Node[] {
  const isSource = ({ op, inputs }: Node) => op === 'DequantizeLinear' && inputs.every((name) => !madeBy(nodes, name))
  return [...nodes.filter(isSource), ...nodes.filter((node) => !isSource(node))]
}

function madeBy(nodes: readonly Node[], name: string): boolean {
  return nodes.some(({ outputs }) => outputs.includes(name))
}

interface Affine {
  /** γ / √(σ² + ε), by channel. */
  readonly factor: Float64Array
  readonly mean: Float32Array
  readonly shift: Float32Array
}

function affineOf(norm: Node, draft: Draft): Affine | undefined {
  if (intAttribute(norm, 'training_mode', 0) !== 0) return undefined
  const tensors = norm.inputs.slice(1).map((name) => draft.initializers.get(name))
  if (tensors.length < 4 || tensors.some((tensor) => !tensor || dtypes[tensor.dtype].kind !== 'float')) return undefined
  const [gain, shift, mean, variance] = tensors.map((tensor) => toFloat32(tensor!))
  const epsilon = floatAttribute(norm, 'epsilon', 1e-5)
  const factor = Float64Array.from(gain, (value, c) => value / Math.sqrt(variance[c] + epsilon))
  return factor.every(Number.isFinite) ? { factor, mean, shift } : undefined
}

/** Why the layer cannot take the factors in; undefined where it can. */
function obstacle(model: Model, layer: Layer, index: GraphIndex): string | undefined {
  const { node, weight, source, outAxis } = layer
  const { initializers, inputs } = model.graph
  const fed = new Set(inputs.map(({ name }) => name))
  const constant = (name: string) => initializers.has(name) && !fed.has(name)
  if (!['Conv', 'Gemm', 'ConvTranspose'].includes(node.op)) return `it follows a ${node.op}`
  if (node.op === 'ConvTranspose' && intAttribute(node, 'group', 1) !== 1) return 'it follows a grouped ConvTranspose'
  if (node.op === 'Gemm' && (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1))
    return 'its layer multiplies by alpha or beta'
  if (index.consumers(node.outputs[0]).length !== 1 || index.isOutput(node.outputs[0]))
    return 'other nodes read what the layer makes'
  if (outAxis === undefined || index.consumers(weight).length !== 1) return 'other nodes read its weights'
  if (node.inputs[2] && !(constant(node.inputs[2]) && isVector(initializers.get(node.inputs[2])!)))
    return 'its bias is no constant of one number a channel'
  if (source.length === 0) return isPlainFloat(model, layer) ? undefined : 'its weights are no floats'
  const [step] = source
  const coded = source.length === 1 && step.op === 'DequantizeLinear' && step.inputs.length === 2
  if (!coded || !constant(step.inputs[1]) || index.consumers(step.outputs[0]).length !== 1)
    return 'its weights are neither floats nor integer codes'
  const scales = elementCount(initializers.get(step.inputs[1])!.shape)
  return scales === 1 || intAttribute(step, 'axis', 1) === outAxis ? undefined : 'its scales lie along another axis'
}

function isVector({ shape, dtype }: Tensor): boolean {
  return shape.length === 1 && dtypes[dtype].kind === 'float'
}

/** Calls `visit` with the output channel of every element. */
function byChannel({ shape }: Tensor, axis: number, visit: (i: number, channel: number) => void): void {
  const inner = elementCount(shape.slice(axis + 1))
  for (let i = 0; i < elementCount(shape); i++) visit(i, Math.floor(i / inner) % shape[axis])
}

function scaleWeights(draft: Draft, { weight, outAxis }: Layer, factor: Float64Array): void {
  const tensor = draft.initializers.get(weight)!
  const values = toFloat32(tensor).slice()
  byChannel(tensor, outAxis!, (i, c) => (values[i] *= factor[c]))
  draft.initializers.set(weight, fromFloat32(tensor.dtype, tensor.shape, values))
}

/** Scales are positive: a negative factor turns the signs of its codes, and a factor of zero clears them. */
function scaleCodes(
  draft: Draft,
  { weight, source: [step], outAxis }: Layer,
  factor: Float64Array,
  bits: number,
  index: GraphIndex,
): void {
  const codes = draft.initializers.get(weight)!
  const scale = draft.initializers.get(step.inputs[1])!
  const old = toFloat32(scale)
  const scales = Float32Array.from(factor, (a, c) => significant(Math.abs(a) * old[old.length === 1 ? 0 : c], bits))
  const values = toNumbers(codes).slice()
  byChannel(codes, outAxis!, (i, c) => (values[i] *= Math.sign(factor[c])))
  draft.initializers.set(weight, fromNumbers(codes.dtype, codes.shape, values))
  const position = draft.nodes.findIndex(({ outputs }) => outputs[0] === step.outputs[0])
  const stored = fromFloat32(
    scale.dtype,
    [factor.length],
    scales.map((value) => value || 1),
  )
  const own = index.consumers(step.inputs[1]).length === 1
  if (own) draft.initializers.set(step.inputs[1], stored)
  draft.nodes[position] = {
    ...draft.nodes[position],
    inputs: [weight, own ? step.inputs[1] : draft.constant(step.inputs[1], stored)],
    attributes: { axis: { kind: 'int', value: outAxis! } },
  }
}

/** The nearest number of so many significant bits. */
function significant(value: number, bits: number): number {
  if (value === 0) return 0
  const unit = 2 ** (Math.floor(Math.log2(value)) - bits + 1)
  return Math.round(value / unit) * unit
}

/** The bias as a constant, or as codes of `bits` bits, whose step is a power of two. */
function biasInput(
  draft: Draft,
  { node, weight, source }: Layer,
  bias: Float64Array,
  bits: number | undefined,
): string {
  const name = node.inputs[2] || weight.replace(/(\.weight)?(\.codes)?$/, '.bias')
  const type = draft.initializers.get(source[0]?.inputs[1] ?? weight)!.dtype
  if (bits === undefined) return draft.constant(name, fromNumbers(type, [bias.length], bias))
  const largest = bias.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const step = largest === 0 ? 1 : 2 ** Math.ceil(Math.log2(largest / (2 ** (bits - 1) - 1)))
  const values = Array.from(bias, (value) => Math.round(value / step))
  const codes =
    bits <= 8
      ? createTensor('int8', [bias.length], Int8Array.from(values))
      : createTensor('int16', [bias.length], Int16Array.from(values))
  const inputs = [
    draft.constant(`${name}.codes`, codes),
    draft.constant(`${name}.scale`, fromFloat32(type, [], Float32Array.of(step))),
  ]
  return draft.add('DequantizeLinear', inputs, {}, { name: `${name}.dequantized` })
}
