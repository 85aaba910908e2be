/** Where activation quantizers go: the inputs of layers, and what the activation in front of them reads. */
import { commutingNodes } from '../../../commuting-nodes.ts'
import { createDraft, type AttributeValue, type Draft } from '../../../../ir/draft.ts'
import { graphIndex, valuesRead, type GraphIndex } from '../../../../ir/graph.ts'
import { ESPALIER_DOMAIN, subgraphs, type Graph, type Model, type Node } from '../../../../ir/model.ts'
import { layers, type Layer } from '../../../../ir/rewrite.ts'
import { toNumbers } from '../../../../tensor/elements.ts'
import { lift } from '../../../../training/lift.ts'

/** A layer and what a quantizer is to read in its place. */
export interface Place {
  readonly layer: Layer
  /** What the layer reads now. */
  readonly input: string
  /** What the quantizer reads: the same, or what is in front of the activation. */
  readonly source: string
}

/** Which input of the layer's node holds no weights. */
export function dataInput({ node, input }: Layer): string {
  return node.inputs[1 - input]
}

/** Averages hand values on, too, but take more different ones than what they are taken of. */
const averages = new Set(['AveragePool', 'GlobalAveragePool'])

/** Nodes that hand on, move or pool values: what a quantizer behind them reads comes from the activation in front. */
const handsOn = new Set([...commutingNodes, ...averages])

/** Nodes whose result takes no more values than what they read. */
const keepsFew = new Set([...commutingNodes, 'Clip', 'Relu'])

/** The layers that read no other layer's result, and those whose result no other layer reads. */
export function endLayers(model: Model): { readonly first: ReadonlySet<Node>; readonly last: ReadonlySet<Node> } {
  const all = new Set(layers(model).map(({ node }) => node))
  const { nodes } = model.graph
  /** Whether a layer lies on a way to the node, in the direction in which the nodes are gone through. */
  const reached = (
    order: readonly Node[],
    to: (node: Node) => Iterable<string>,
    from: (node: Node) => Iterable<string>,
  ) => {
    const behind = new Set<string>()
    const ends = new Set<Node>()
    for (const node of order) {
      const after = [...from(node)].some((value) => behind.has(value))
      if (all.has(node) && !after) ends.add(node)
      if (all.has(node) || after || subgraphs(node).some(hasProduct)) for (const value of to(node)) behind.add(value)
    }
    return ends
  }
  return {
    first: reached(nodes, ({ outputs }) => outputs, valuesRead),
    last: reached(nodes.toReversed(), valuesRead, ({ outputs }) => outputs),
  }
}

function hasProduct(graph: Graph): boolean {
  return graph.nodes.some((node) => ['Conv', 'Gemm', 'MatMul'].includes(node.op) || subgraphs(node).some(hasProduct))
}

/** Whether `value` takes the few values of a quantizer in front of it: then there is nothing left to quantize. */
export function quantizedBefore(model: Model): (value: string) => boolean {
  const index = graphIndex(lift(model).graph)
  return (value) => {
    let node = index.producer(value)
    while (node?.domain === '' && keepsFew.has(node.op)) node = index.producer(node.inputs[0])
    return node?.domain === ESPALIER_DOMAIN && node.op !== 'RoundStraightThrough'
  }
}

/**
 * The model with what quantizers are to read, and where that is. Where they replace the activation, pooling and the
 * like between it and the layer stand in the graph a second time, on what the activation reads; the old ones are
 * dropped when nothing else reads them any more.
 */
export function placesOf(
  model: Model,
  chosen: readonly Layer[],
  activation: 'keeps' | 'replaces',
): { readonly model: Model; readonly places: readonly Place[] } {
  const draft = createDraft(model)
  const index = graphIndex(model.graph)
  const known = new Map<string, string | undefined>()
  const places = chosen.map((layer) => {
    const input = dataInput(layer)
    const bare = activation === 'replaces' ? withoutActivation(draft, index, known, input) : undefined
    return { layer, input, source: bare ?? input }
  })
  return { model: draft.finish({ keepUnused: true }), places }
}

/** The value as it would be without the activation that it comes from; undefined where it comes from none. */
function withoutActivation(
  draft: Draft,
  index: GraphIndex,
  known: Map<string, string | undefined>,
  value: string,
): string | undefined {
  if (known.has(value)) return known.get(value)
  const node = index.producer(value)
  let found: string | undefined
  if (node && isRectifier(node, draft)) found = node.inputs[0]
  else if (node?.domain === '' && (handsOn.has(node.op) || node.op === 'Concat') && node.outputs[0] === value) {
    const sources = node.inputs.map((input, i) => {
      return i === 0 || node.op === 'Concat' ? withoutActivation(draft, index, known, input) : undefined
    })
    const attributes = node.attributes as Readonly<Record<string, AttributeValue>>
    const inputs = node.inputs.map((input, i) => sources[i] ?? input)
    if (sources.some(Boolean)) found = draft.add(node.op, inputs, attributes, { name: node.name })
  }
  known.set(value, found)
  return found
}

function isRectifier({ domain, op, inputs }: Node, draft: Draft): boolean {
  if (domain !== '') return false
  if (op === 'Clip') {
    const low = draft.initializers.get(inputs[1] ?? '')
    return low !== undefined && toNumbers(low)[0] === 0
  }
  return op === 'Relu' || op === 'LeakyRelu' || op === 'PRelu'
}
