/** Computes once what depends on constants only. */
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import { createDraft } from './draft.ts'
import { constantNode, inferShapes, isRandom, type TypeTable } from './infer.ts'
import { operatorKey, subgraphs, type Model, type Node } from './model.ts'
import { operators } from './ops/index.ts'

export interface FoldOptions {
  /** Also compute what stands for a compressed tensor: DequantizeLinear of constants, Gather from a code book. */
  readonly all?: boolean
  /** Results of more elements stay computed at run time unless their inputs have as many. Default 2^24. */
  readonly largest?: number
}

/**
 * Replaces Constant nodes, and nodes all of whose inputs are constant, by initializers, and so does the arithmetic on
 * shapes that are known. Leaves alone what writes a compressed tensor small, unless `all` is set.
 */
export function foldConstants(model: Model, options: FoldOptions = {}): Model {
  const draft = createDraft(model)
  const types = inferShapes(model)
  const constants = new Map<string, Tensor>(model.graph.initializers)
  const fed = new Set(model.graph.inputs.map((info) => info.name))
  const kept: Node[] = []
  const outputs = new Set(model.graph.outputs.map((info) => info.name))
  for (const node of draft.nodes) {
    const results = outputs.has(node.outputs[0]) ? undefined : evaluateNode(node, constants, fed, types, options)
    const shape = results ?? shapeResult(node, types.constant(node.outputs[0]), outputs)
    if (!shape) {
      kept.push(node)
      continue
    }
    node.outputs.forEach((name, index) => {
      if (name === '') return
      constants.set(name, shape[index])
      draft.initializers.set(name, shape[index])
    })
  }
  draft.nodes.splice(0, draft.nodes.length, ...kept)
  return draft.finish()
}

/** Nodes of one output whose value inference found although an input is not constant: Shape and what follows it. */
function shapeResult(
  node: Node,
  tensor: Tensor | undefined,
  outputs: ReadonlySet<string>,
): readonly Tensor[] | undefined {
  const single = node.outputs.length === 1 && !outputs.has(node.outputs[0])
  const integer = tensor && (tensor.dtype === 'int64' || tensor.dtype === 'int32') && tensor.shape.length <= 1
  return single && integer && node.op !== 'Gather' ? [tensor] : undefined
}

function evaluateNode(
  node: Node,
  constants: ReadonlyMap<string, Tensor>,
  fed: ReadonlySet<string>,
  types: TypeTable,
  options: FoldOptions,
): readonly Tensor[] | undefined {
  const constant = constantNode(node)
  if (constant) return [constant]
  const record = operators.get(operatorKey(node))
  if (!record?.evaluate || node.inputs.length === 0 || isRandom(node) || subgraphs(node).length > 0) return undefined
  const inputs = node.inputs.map((name) => (fed.has(name) ? undefined : constants.get(name)))
  if (inputs.some((tensor, index) => !tensor && node.inputs[index] !== '')) return undefined
  if (!options.all && isCompressedForm(node, inputs)) return undefined
  const largest = Math.max(options.largest ?? 2 ** 24, ...inputs.map((tensor) => elementCount(tensor?.shape ?? [])))
  const fits = (name: string) => {
    const shape = name === '' ? [] : types.get(name)?.shape
    return shape?.every((dim) => typeof dim === 'number') && elementCount(shape) <= largest
  }
  if (!node.outputs.every(fits)) return undefined
  try {
    const results = record.evaluate({ node, inputs })
    return node.outputs.every((name, index) => name === '' || results[index]) ? results : undefined
  } catch {
    // What the reference cannot compute stays for the engine, which says why if it cannot either.
    return undefined
  }
}

/** Whether computing the node would write out what sharing, quantization or a mask wrote small. */
function isCompressedForm(node: Node, inputs: readonly (Tensor | undefined)[]): boolean {
  const sizes = inputs.map((tensor) => elementCount(tensor?.shape ?? []))
  switch (node.op) {
    case 'DequantizeLinear':
      return true
    case 'Gather':
      return inputs[0]?.dtype !== 'int64' && sizes[1] > sizes[0]
    case 'Cast':
      return sizes[0] > 64
    case 'Mul':
      return sizes[0] > 64 && sizes[0] === sizes[1]
    default:
      return false
  }
}
