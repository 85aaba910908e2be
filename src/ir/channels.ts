/** Which channels of a graph can only be removed together, and which cannot be removed at all, and why. */
import { createChannelSlots, type ChannelSlots, type SlotAxis } from './channel-slots.ts'
import { nodeLabel, valuesRead } from './graph.ts'
import { inferShapes, type TypeTable } from './infer.ts'
import { operatorKey, type Model, type Node } from './model.ts'
import type { ChannelPort, ChannelTie, CostContext } from './operator.ts'
import { operators } from './ops/index.ts'
import { withoutOpenSizes } from './dimensions.ts'

/** A tie of one node, with the values that its ports are places of. */
export interface NodeTie {
  readonly node: Node
  readonly ports: readonly (ChannelPort & { readonly at: SlotAxis })[]
  readonly count: number
}

/** What the ties of all nodes of a graph make of its channels. */
export interface ChannelMap {
  readonly model: Model
  readonly slots: ChannelSlots
  readonly ties: ReadonlyMap<Node, readonly NodeTie[]>
  /** What an operator record may ask about a node; undefined where a size is not known. Open sizes count as 1. */
  context(node: Node): CostContext | undefined
}

export interface ChannelMapOptions {
  /** Whether the inputs and outputs of the model may lose channels too; default false. */
  readonly openEnds?: boolean
}

/** Ties up the channels of the main graph. Values that a sub-graph reads cannot be cut. */
export function mapChannels(model: Model, { openEnds = false }: ChannelMapOptions = {}): ChannelMap {
  const types = inferShapes(withoutOpenSizes(model))
  const { constant } = inferShapes(model)
  const slots = createChannelSlots()
  const { graph } = model
  for (const { name } of graph.inputs) addValue(slots, types, name)
  for (const name of graph.initializers.keys()) addValue(slots, types, name)
  for (const node of graph.nodes) for (const output of node.outputs) if (output !== '') addValue(slots, types, output)
  const pinValue = (value: string, reason: string) => {
    for (const { first, size } of slots.axesOf(value) ?? [])
      for (let slot = first; slot < first + size; slot++) slots.pin(slot, reason)
  }
  if (!openEnds) {
    for (const { name } of graph.inputs) pinValue(name, `'${name}' is an input of the model`)
    for (const { name } of graph.outputs) pinValue(name, `'${name}' is an output of the model`)
  }
  const contexts = new Map<Node, CostContext>()
  const ties = new Map<Node, readonly NodeTie[]>()
  for (const node of graph.nodes) {
    const own = tieNode(node, { get: types.get, constant }, slots, contexts, pinValue)
    if (own) ties.set(node, own)
  }
  return { model, slots, ties, context: (node) => contexts.get(node) }
}

/** Types for one example, and the constants that hold for every number of examples. */
type Facts = Pick<TypeTable, 'get' | 'constant'>

function addValue(slots: ChannelSlots, types: Facts, value: string): void {
  const shape = types.get(value)?.shape
  if (!slots.axesOf(value) && shape?.every((size) => typeof size === 'number')) slots.add(value, shape)
}

/** Joins the slots that the node ties, and pins what it does not; the ties, or undefined where the node has no rule. */
function tieNode(
  node: Node,
  types: Facts,
  slots: ChannelSlots,
  contexts: Map<Node, CostContext>,
  pinValue: (value: string, reason: string) => void,
): readonly NodeTie[] | undefined {
  const label = `${operatorKey(node)} '${nodeLabel(node)}'`
  for (const value of valuesRead(node)) if (!node.inputs.includes(value)) pinValue(value, `it is read inside ${label}`)
  const pinAll = (reason: string) => {
    for (const value of [...node.inputs, ...node.outputs]) if (value !== '') pinValue(value, reason)
    return undefined
  }
  const record = operators.get(operatorKey(node))
  if (!record?.coupling) return pinAll(`nothing is known about the channels of ${label}`)
  if (node.outputs.includes('')) return pinAll(`an output of ${label} is left out`)
  const unknown = [...node.inputs, ...node.outputs].find((value) => value !== '' && !slots.axesOf(value))
  if (unknown !== undefined) return pinAll(`the shape of '${unknown}' at ${label} is not known`)
  const context = contextOf(node, types)
  contexts.set(node, context)
  const ties = record.coupling(context).map((tie) => resolveTie(node, tie, slots))
  for (const { ports, count } of ties)
    for (let channel = 0; channel < count; channel++) {
      const anchor = firstSlot(ports[0], channel)
      for (const port of ports)
        for (let i = 0; i < (port.repeat ?? 1); i++) slots.join(anchor, firstSlot(port, channel) + i)
    }
  pinUntied(node, ties, slots, label)
  return ties
}

function contextOf(node: Node, types: Facts): CostContext {
  const typed = (value: string) => types.get(value) as CostContext['outputs'][number]
  return {
    node,
    inputs: node.inputs.map((value) => (value === '' ? undefined : typed(value))),
    outputs: node.outputs.filter((value) => value !== '').map(typed),
    constant: (index) => (node.inputs[index] ? types.constant(node.inputs[index]) : undefined),
  }
}

function resolveTie(node: Node, tie: ChannelTie, slots: ChannelSlots): NodeTie {
  const outputs = node.outputs.filter((value) => value !== '')
  const ports = tie.ports.map((port) => {
    const value = port.side === 'input' ? node.inputs[port.index] : outputs[port.index]
    return { ...port, at: slots.axesOf(value)![port.axis] }
  })
  const whole = ports.find((port) => port.offset === undefined)
  return { node, ports, count: tie.count ?? (whole ? whole.at.size / (whole.repeat ?? 1) : 0) }
}

/** The first of the slots that channel `channel` of a tie takes at a port. */
export function firstSlot(port: NodeTie['ports'][number], channel: number): number {
  return port.at.first + (port.offset ?? 0) + channel * (port.repeat ?? 1)
}

/** A place that a node reads or writes, but ties to nothing, has to stay. */
function pinUntied(node: Node, ties: readonly NodeTie[], slots: ChannelSlots, label: string): void {
  const tied = new Set<number>()
  for (const { ports, count } of ties)
    for (const port of ports) {
      const start = firstSlot(port, 0)
      for (let slot = start; slot < start + count * (port.repeat ?? 1); slot++) tied.add(slot)
    }
  for (const value of [...node.inputs, ...node.outputs])
    for (const { axis, first, size } of slots.axesOf(value) ?? [])
      for (let slot = first; slot < first + size; slot++)
        if (!tied.has(slot)) slots.pin(slot, `${label} works across axis ${axis} of '${value}'`)
}
