/** What one run of a model costs, node by node, from the cost rules of the operator records. */
import { inlineFunctions } from './inline.ts'
import { operatorKey, type Model, type Node, type TensorType } from './model.ts'
import type { Cost, CostContext } from './operator.ts'
import { operators } from './ops/index.ts'
import { layers } from './rewrite.ts'
import { withoutOpenSizes } from './dimensions.ts'
import { inferShapes, rebatch } from './shapes.ts'

export interface NodeCost {
  readonly node: Node
  /** Undefined where it cannot be told; `why` says so. */
  readonly cost?: Cost
  /** A clause such as 'the operator X is unknown'. */
  readonly why?: string
}

export interface ModelCost {
  /** In the order of the graph, local functions inlined. */
  readonly nodes: readonly NodeCost[]
  /** The sum over the nodes whose cost is known. */
  readonly total: Cost
}

/**
 * Multiply-accumulates and bytes of each node, for one example: sizes that the model leaves open count as 1.
 * Multiply-accumulates are those of convolutions and matrix products, as the literature counts them; operators that
 * only move, compare or scale elements cost their traffic. The work of If, Loop and Scan is not known before they run.
 */
export function modelCost(model: Model): ModelCost {
  const bound = withoutOpenSizes(inlineFunctions(model))
  const types = inferShapes(bound)
  const nodes = bound.graph.nodes.map((node) => nodeCost(node, (value) => types.get(value)))
  const known = nodes.flatMap(({ cost }) => (cost ? [cost] : []))
  const total = known.reduce(
    (sum, cost) => ({
      macs: sum.macs + cost.macs,
      bytesRead: sum.bytesRead + cost.bytesRead,
      bytesWritten: sum.bytesWritten + cost.bytesWritten,
    }),
    { macs: 0, bytesRead: 0, bytesWritten: 0 },
  )
  return { nodes, total }
}

function nodeCost(node: Node, typeOf: (value: string) => TensorType | undefined): NodeCost {
  const record = operators.get(operatorKey(node))
  if (!record) return { node, why: `the operator ${operatorKey(node)} is unknown` }
  const unknown = [...node.inputs, ...node.outputs].find((value) => value !== '' && !isStatic(typeOf(value)))
  if (unknown !== undefined) return { node, why: `the shape of '${unknown}' is unknown` }
  const typed = (value: string) => typeOf(value) as CostContext['outputs'][number]
  const inputs = node.inputs.map((value) => (value === '' ? undefined : typed(value)))
  const outputs = node.outputs.filter((value) => value !== '').map(typed)
  return { node, cost: record.cost({ node, inputs, outputs }) }
}

function isStatic(type: TensorType | undefined): boolean {
  return type?.shape?.every((size) => typeof size === 'number') ?? false
}

/**
 * Multiply-accumulates of each layer for one example, by name; without those whose shapes cannot be told. Local functions
 * and sub-graphs are not looked into: `modelCost` does that.
 */
export function macsOf(model: Model): Map<string, number> {
  const result = new Map<string, number>()
  const single = rebatch(model, 1)
  const types = inferShapes(single)
  const staticType = (value: string) => {
    const type = types.get(value)
    if (!type?.shape?.every((size) => typeof size === 'number')) return undefined
    return { dtype: type.dtype, shape: type.shape }
  }
  for (const layer of layers(single)) {
    const record = operators.get(operatorKey(layer.node))
    const inputs = layer.node.inputs.map(staticType)
    const outputs = layer.node.outputs.map(staticType)
    if (!record || inputs.some((type, i) => !type && layer.node.inputs[i] !== '')) continue
    if (outputs.every((type) => type !== undefined))
      result.set(layer.name, record.cost({ node: layer.node, inputs, outputs }).macs)
  }
  return result
}
