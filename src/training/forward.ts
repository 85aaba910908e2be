/** Turns the graph of an inference model into the forward part of a training step. */
import { UnsupportedError } from '../errors.ts'
import { createDraft, float, type Draft } from '../ir/draft.ts'
import { ESPALIER_DOMAIN, floatAttribute, intAttribute, type Model, type Node } from '../ir/model.ts'
import { inferShapes } from '../ir/shapes.ts'
import { toFloat32 } from '../tensor/half.ts'
import type { DType } from '../tensor/dtype.ts'
import { float32, type Tensor } from '../tensor/tensor.ts'
import { normalizeByShifts, type NormalizationStatistics } from './arithmetic/shift-normalization.ts'

/** Running statistics of a batch normalization: an initializer, and the value that replaces it after the step. */
export interface RunningStatistic {
  readonly initializer: string
  readonly next: string
}

/** A graph input that the trainer fills anew in each step. */
export interface RandomInput {
  readonly input: string
  readonly shape: readonly number[]
  /** Whether the first axis is the batch, so that a batch of another size asks for as many. */
  readonly batched: boolean
  readonly values:
    | {
        /** bool: true where an element is kept, with probability `keep`. */ readonly kind: 'kept'
        readonly keep: number
      }
    | { /** float32: uniform in [0, 1). */ readonly kind: 'uniform' }
}

export interface TrainingForwardOptions {
  /** Leaves batch normalization in its inference form. */
  readonly frozenStatistics?: boolean
  /** Whether batch normalization multiplies by powers of two only. */
  readonly shiftNormalization?: boolean
}

export interface TrainingForward {
  readonly draft: Draft
  readonly statistics: readonly RunningStatistic[]
  readonly random: readonly RandomInput[]
}

/**
 * Rewrites what behaves differently in training, in a draft of `model`, whose sizes must be static. Batch normalization
 * uses the statistics of the batch and moves the running ones towards them (momentum as in the node, biased variance,
 * as ONNX defines it). Dropout multiplies with a mask that comes in as a graph input, scaled by 1 / keep; Noise becomes
 * a graph input itself, and ternary neurons compare one with the probability with which they fire.
 */
export function trainingForward(model: Model, options: TrainingForwardOptions = {}): TrainingForward {
  const draft = createDraft(model)
  const types = inferShapes(model)
  const statistics = new Map<string, string>()
  const random: RandomInput[] = []
  const nodes = draft.nodes.splice(0)
  for (const node of nodes) {
    if (node.domain === '' && node.op === 'BatchNormalization')
      normalize(draft, node, types.get(node.inputs[0])?.shape, statistics, options)
    else if (node.domain === '' && node.op === 'Dropout') drop(draft, node, types.get(node.inputs[0])?.shape, random)
    else if (node.domain === ESPALIER_DOMAIN && node.op === 'Noise') {
      const type = types.get(node.outputs[0])!
      draft.inputs.push({ name: node.outputs[0], type })
      random.push(uniformInput(node.outputs[0], type.shape as readonly number[]))
    } else if (node.domain === ESPALIER_DOMAIN && node.op === 'StochasticTernary')
      fire(draft, node, types.get(node.inputs[0])?.shape, random)
    else draft.nodes.push(node)
  }
  return {
    draft,
    statistics: [...statistics].map(([initializer, next]) => ({ initializer, next })),
    random,
  }
}

function normalize(
  draft: Draft,
  node: Node,
  shape: readonly unknown[] | undefined,
  statistics: Map<string, string>,
  { frozenStatistics = false, shiftNormalization = false }: TrainingForwardOptions,
): void {
  const [, scale, shift, mean, variance] = node.inputs
  const isConstant = (name: string) => draft.initializers.has(name)
  // Statistics that something computes are no state; such a node keeps its meaning of inference.
  const keeps = frozenStatistics || !isConstant(mean) || !isConstant(variance)
  const shifts = shiftNormalization && [scale, shift, mean, variance].every(isConstant)
  if (shifts && !shape?.every((size) => typeof size === 'number'))
    throw new UnsupportedError('normalization-shape', `the shape of what '${node.name}' normalizes cannot be told`, {
      place: node.name,
      hint: 'An operator in front of it has no shape rule.',
    })
  if (keeps) {
    if (shifts) normalizeByShifts(draft, node, shape as readonly number[], { mean, variance })
    else draft.nodes.push(node)
    return
  }
  const batch = shifts ? normalizeByShifts(draft, node, shape as readonly number[]) : normalizeByBatch(draft, node)
  const momentum = floatAttribute(node, 'momentum', 0.9)
  const kept = draft.constant('momentum', float32([momentum], []))
  const taken = draft.constant('momentum', float32([1 - momentum], []))
  for (const [initializer, value] of [
    [mean, batch.mean],
    [variance, batch.variance],
  ]) {
    const current = statistics.get(initializer) ?? initializer
    const next = draft.add('Add', [draft.add('Mul', [current, kept]), draft.add('Mul', [value, taken])])
    statistics.set(initializer, next)
  }
}

/** Writes the node with the statistics of the batch, which it returns. */
function normalizeByBatch(draft: Draft, node: Node): NormalizationStatistics {
  const [x, scale, shift, meanName, varianceName] = node.inputs
  const mean = draft.fresh(`${meanName}.batch`)
  const variance = draft.fresh(`${varianceName}.batch`)
  draft.nodes.push({
    name: node.name,
    op: 'BatchNormTrain',
    domain: ESPALIER_DOMAIN,
    inputs: [x, scale, shift],
    outputs: [node.outputs[0], mean, variance],
    attributes: { epsilon: float(floatAttribute(node, 'epsilon', 1e-5)) },
  })
  return { mean, variance }
}

function drop(draft: Draft, node: Node, shape: readonly unknown[] | undefined, random: RandomInput[]): void {
  const ratio = dropRatio(draft, node)
  if (ratio === 0) {
    draft.nodes.push({ ...node, op: 'Identity', inputs: [node.inputs[0]], outputs: [node.outputs[0]], attributes: {} })
    return
  }
  const sizes = staticSizes(node, shape)
  const input = freshInput(draft, `${node.name || 'dropout'}.mask`, 'bool', sizes)
  random.push({ input, shape: sizes, batched: true, values: { kind: 'kept', keep: 1 - ratio } })
  const kept = draft.add('Cast', [input], { to: 1 })
  const scaled = draft.add('Mul', [kept, draft.constant('dropout.scale', float32([1 / (1 - ratio)], []))])
  draft.nodes.push({ ...node, op: 'Mul', inputs: [node.inputs[0], scaled], outputs: [node.outputs[0]], attributes: {} })
}

/** Writes a neuron that fires with the probability |tanh x|. */
function fire(draft: Draft, node: Node, shape: readonly unknown[] | undefined, random: RandomInput[]): void {
  const { name, inputs, outputs } = node
  const sizes = staticSizes(node, shape)
  const input = freshInput(draft, `${name}.noise`, 'float32', sizes)
  random.push({ input, shape: sizes, batched: true, values: { kind: 'uniform' } })
  const activation = draft.add('Tanh', [inputs[0]])
  const fires = draft.add('Cast', [draft.add('Greater', [draft.add('Abs', [activation]), input])], { to: 1 })
  const value = draft.add('Mul', [draft.add('Sign', [activation]), fires])
  const straight = { name, op: 'StraightThrough', domain: ESPALIER_DOMAIN, attributes: {} }
  draft.nodes.push({ ...straight, inputs: [activation, value], outputs })
}

/** The shape for which random numbers are drawn. */
function staticSizes({ name, op }: Node, shape: readonly unknown[] | undefined): readonly number[] {
  if (shape?.every((size) => typeof size === 'number')) return shape
  throw new UnsupportedError('random-shape', `the shape of what '${name}' (${op}) changes by chance cannot be told`, {
    place: name,
    hint: 'An operator in front of it has no shape rule.',
  })
}

/** The record of an input that the trainer fills with noise of one shape, whatever the batch. */
export function uniformInput(input: string, shape: readonly number[]): RandomInput {
  return { input, shape, batched: false, values: { kind: 'uniform' } }
}

/** Declares a graph input under a name that is free. */
export function freshInput(draft: Draft, hint: string, dtype: DType, shape: readonly number[]): string {
  const name = draft.fresh(hint)
  draft.inputs.push({ name, type: { dtype, shape } })
  return name
}

function dropRatio(draft: Draft, node: Node): number {
  const name = node.inputs[1]
  if (!name) return 0.5
  const tensor: Tensor | undefined = draft.initializers.get(name) ?? constantNode(draft, name)
  if (!tensor)
    throw new UnsupportedError('dropout-ratio', `the ratio of '${node.name}' is not a constant`, { place: node.name })
  return toFloat32(tensor)[0]
}

function constantNode(draft: Draft, value: string): Tensor | undefined {
  const attribute = draft.nodes.find((node) => node.op === 'Constant' && node.outputs[0] === value)?.attributes.value
  return attribute?.kind === 'tensor' ? attribute.value : undefined
}

/**
 * The value whose softmax the model's output is, or that output itself: follows `output` back through Softmax and
 * LogSoftmax over the classes and through what only changes its shape.
 */
export function logitsOf(
  model: Model,
  output: string,
): { value: string; form: 'logits' | 'probabilities' | 'log-probabilities' } {
  const producers = new Map(model.graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)))
  let node = producers.get(output)
  while (node?.domain === '' && ['Identity', 'Flatten', 'Reshape', 'Squeeze', 'Cast'].includes(node.op))
    node = producers.get(node.inputs[0])
  if (node?.domain !== '' || (node.op !== 'Softmax' && node.op !== 'LogSoftmax'))
    return { value: output, form: 'logits' }
  // Over the spatial axes of a map, a softmax is no classifier's.
  const axis = intAttribute(node, 'axis', -1)
  if (axis !== 1 && axis !== -1) return { value: output, form: 'logits' }
  return { value: node.inputs[0], form: node.op === 'Softmax' ? 'probabilities' : 'log-probabilities' }
}
