/**
 * Reverse-mode differentiation as a transform from ONNX to ONNX. The graph is walked backwards; each node turns the
 * gradients of its outputs into gradients of its inputs by the rule of its operator's record, and what reaches a value
 * from several readers is summed. The rules may emit semantic operators (`espalier.ConvGradW`), which have records,
 * and so gradients, of their own: the result can be differentiated again, and `lower` makes it runnable.
 */
import { ModelError, nearestName, UnsupportedError, UsageError } from '../errors.ts'
import { createDraft } from '../ir/draft.ts'
import { inlineFunctions, readsOf } from '../ir/inline.ts'
import { operatorKey, subgraphs, type Model, type Node } from '../ir/model.ts'
import type { GradientContext } from '../ir/operator.ts'
import { operators } from '../ir/ops/index.ts'
import { inferShapes } from '../ir/shapes.ts'
import { dtypes } from '../tensor/dtype.ts'
import { elementCount, int64 } from '../tensor/tensor.ts'
import { branchGradients } from './branches.ts'
import { createEmitter, type Emitter } from './emitter.ts'
import { unrollLoops } from './loops.ts'

export interface DifferentiateOptions {
  /** The value to be differentiated: one element, of a float type. */
  readonly loss: string
  /** Initializers or graph inputs by which the loss is differentiated. */
  readonly parameters: readonly string[]
  /** Further values whose gradient is wanted: graph inputs, or values inside the graph. */
  readonly inputs?: readonly string[]
}

export interface Differentiated {
  /** The model with the backward nodes behind its own; the gradients are further graph outputs. */
  readonly model: Model
  /** From each parameter and input that was asked for to the value that holds its gradient, of the same shape. */
  readonly gradients: ReadonlyMap<string, string>
}

/**
 * Extends a model by the gradients of `loss`. Sizes must be static: bind dynamic dimensions first. A parameter that the
 * loss does not depend on, or only through operators that are locally constant, gets zeros.
 * Local functions are inlined, and loops with a constant trip count unrolled, unless an operator record knows them.
 * @throws UnsupportedError when an operator on the way is unknown or has no gradient, naming the node.
 */
export function differentiate(model: Model, { loss, parameters, inputs = [] }: DifferentiateOptions): Differentiated {
  const wanted = [...parameters, ...inputs]
  const forward = unrollLoops(inlineFunctions(model, hasOwnRule), wanted)
  const types = inferShapes(forward)
  const draft = createDraft(forward)
  const emitter = createEmitter(draft, (value) => types.get(value), { variables: new Set(wanted) })

  checkNames(forward, [loss, ...wanted])
  const { shape, dtype } = emitter
  if (elementCount(shape(loss)) !== 1 || dtypes[dtype(loss)].kind !== 'float')
    throw new UsageError(
      'loss-not-scalar',
      `the loss '${loss}' is ${dtype(loss)} of shape [${shape(loss).join(', ')}]`,
      {
        place: loss,
        hint: 'Reduce it to one number, by ReduceMean for instance.',
      },
    )

  const one = emitter.literal(1, loss)
  const seed = shape(loss).length === 0 ? one : emitter.emit('Reshape', [one, emitter.literal(int64(shape(loss)))])
  const found = reverse(forward.graph.nodes, new Map([[loss, seed]]), wanted, emitter)

  const gradients = new Map<string, string>()
  for (const value of wanted) {
    // Each gradient is an output of its own name, also where two parameters share one, or it is the seed itself.
    const gradient = found.get(value) ?? zerosLike(emitter, value)
    const hint = `${value}/gradient`
    const name = draft.add('Identity', [gradient], {}, { outputs: [hint], name: hint })
    draft.output(name, dtype(value), shape(value))
    gradients.set(value, name)
  }
  return { model: draft.finish(), gradients }
}

function hasOwnRule(node: Node): boolean {
  return operators.get(operatorKey(node))?.gradient !== undefined
}

/**
 * The reverse sweep: appends the backward nodes of `nodes` through `emitter`.
 * @param seeds gradients of values, from outside.
 * @returns the gradient of each wanted value that has one.
 */
export function reverse(
  nodes: readonly Node[],
  seeds: ReadonlyMap<string, string>,
  wanted: readonly string[],
  emitter: Emitter,
): Map<string, string> {
  const active = dependents(nodes, wanted, emitter)
  refuseUnknown(nodes, seeds.keys(), active)
  const contributions = new Map([...seeds].map(([value, gradient]) => [value, [gradient]]))
  const total = (value: string): string | undefined => {
    const parts = contributions.get(value)
    if (!parts || parts.length === 1) return parts?.[0]
    const sum = emitter.emit(parts.length === 2 ? 'Add' : 'Sum', parts)
    contributions.set(value, [sum])
    return sum
  }

  for (const node of nodes.toReversed()) {
    if (!node.inputs.some((input) => active.has(input)) && subgraphs(node).length === 0) continue
    if (!node.outputs.some((output) => contributions.has(output))) continue
    emitter.within(`${node.name || node.outputs[0]}/gradient`)
    const outputGradients = node.outputs.map(total)
    for (const [input, gradient] of inputGradients(node, outputGradients, active, emitter)) {
      const parts = contributions.get(input)
      if (parts) parts.push(gradient)
      else contributions.set(input, [gradient])
    }
  }
  return new Map(wanted.flatMap((value) => (contributions.has(value) ? [[value, total(value)!]] : [])))
}

/** Names the unknown operator on the way before a rule behind it trips over a value of which no type is known. */
function refuseUnknown(nodes: readonly Node[], from: Iterable<string>, active: ReadonlySet<string>): void {
  const reached = new Set(from)
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((output) => reached.has(output))) continue
    const record = operators.get(operatorKey(node))
    if (record?.differentiable === 'none' || !readsOf(node).some((input) => active.has(input))) continue
    if (!record && operatorKey(node) !== 'If') throw noGradient(node, false)
    for (const input of readsOf(node)) reached.add(input)
  }
}

/** The gradients that a node hands to its inputs, by its operator's rule. */
function inputGradients(
  node: Node,
  outputGradients: readonly (string | undefined)[],
  active: ReadonlySet<string>,
  emitter: Emitter,
): [string, string][] {
  if (operatorKey(node) === 'If') return branchGradients(node, outputGradients, active, emitter)
  const record = operators.get(operatorKey(node))
  if (record?.differentiable === 'none') return []
  if (!record?.gradient) throw noGradient(node, record !== undefined)
  const context: GradientContext = {
    ...emitter,
    node,
    inputs: node.inputs.map((input) => input || undefined),
    outputs: node.outputs,
    outputGradients,
    wants: (index) => active.has(node.inputs[index]),
  }
  const gradients = record.gradient(context)
  return node.inputs.flatMap((input, i): [string, string][] =>
    active.has(input) && gradients[i] !== undefined ? [[input, gradients[i]]] : [],
  )
}

function noGradient(node: Node, known: boolean): UnsupportedError {
  const loop = operatorKey(node) === 'Loop'
  const why = loop ? 'has no constant trip count' : known ? 'has no gradient' : 'is unknown'
  return new UnsupportedError('no-gradient', `cannot differentiate node '${node.name}': ${operatorKey(node)} ${why}`, {
    place: node.name || node.outputs[0],
    hint: loop
      ? 'Make the trip count a constant and the condition constantly true.'
      : 'Train only parameters behind this node, or replace it.',
  })
}

/** The wanted values and all float values computed from them. */
function dependents(nodes: readonly Node[], wanted: readonly string[], emitter: Emitter): Set<string> {
  const active = new Set(wanted)
  for (const node of nodes) {
    if (!readsOf(node).some((input) => active.has(input))) continue
    for (const output of node.outputs) {
      const type = emitter.type(output)
      if (output !== '' && (type === undefined || dtypes[type.dtype].kind === 'float')) active.add(output)
    }
  }
  return active
}

/** Zeros of a value's type, without carrying them in the model. */
export function zerosLike({ emit, literal, shape }: Emitter, value: string): string {
  const zero = literal(0, value)
  return shape(value).length === 0 ? zero : emit('Expand', [zero, literal(int64(shape(value)))])
}

function checkNames(model: Model, names: readonly string[]): void {
  const { inputs, initializers, nodes } = model.graph
  const known = new Set([
    ...inputs.map(({ name }) => name),
    ...initializers.keys(),
    ...nodes.flatMap(({ outputs }) => outputs),
  ])
  for (const name of names) {
    if (known.has(name)) continue
    const nearest = nearestName(name, known)
    throw new ModelError('unknown-value', `the graph has no value '${name}'`, {
      place: name,
      ...(nearest === undefined ? {} : { hint: `Did you mean '${nearest}'?` }),
    })
  }
}
