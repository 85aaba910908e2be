/** Channels that do nothing: nobody reads them, or they are constant and the next layer's bias can say the same. */
import { fromNumbers } from '../tensor/elements.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { firstSlot, mapChannels, type ChannelMap, type NodeTie } from './channels.ts'
import { biasOf, constantSlots, uniformAt, type ConstantSlots } from './constant-channels.ts'
import { constantValues, type ConstantValues } from './constant-values.ts'
import { cutRoots, keptPlaces } from './cut.ts'
import { createDraft, float, type Draft } from './draft.ts'
import { nodeLabel } from './graph.ts'
import { layerWeights, type LayerWeights } from './layer-weights.ts'
import { floatAttribute, intsAttribute, operatorKey, stringAttribute, type Model, type Node } from './model.ts'
import { layers } from './rewrite.ts'
import { cutForm } from './cut-form.ts'

/** Outputs of one layer, by their places among the outputs that the layer had in the model that was given. */
export interface ChannelsOfLayer {
  readonly layer: string
  readonly channels: readonly number[]
}

/** What `cutDeadChannels` did. */
export interface DeadChannels {
  readonly model: Model
  readonly removed: readonly ChannelsOfLayer[]
  /** Channels that do nothing either but had to stay. */
  readonly left: readonly (ChannelsOfLayer & { readonly reason: string })[]
}

/**
 * Cuts every channel that can be cut without changing what the model computes: those whose outgoing weights are all zero,
 * and those whose incoming weights are all zero, so that they are constant. The constant is followed through biases,
 * activations, normalization and pooling and added to the bias of the layers that read it, where that is exact: it is not
 * where a padded border would mix zeros with it. What becomes dead by that is cut as well, until nothing is.
 * Weights may be plain, codes behind DequantizeLinear, or indices of a codebook.
 */
export function cutDeadChannels(model: Model): DeadChannels {
  const form = cutForm(model)
  let current = form.model
  const places = new Map<string, number[]>()
  const removed = new Map<string, number[]>()
  for (let changed = false; ; changed = true) {
    const scan = scanDead(current)
    if (scan.roots.size === 0) {
      const left = leftOf(scan, places)
      const list = [...removed].map(([layer, channels]) => ({ layer, channels: channels.toSorted((a, b) => a - b) }))
      return { model: changed ? form.restore(current) : model, removed: list, left }
    }
    noteRemoved(scan, places, removed)
    current = cutScanned(scan)
  }
}

/** One look at a model. */
interface Scan {
  readonly map: ChannelMap
  readonly values: ConstantValues
  readonly known: ConstantSlots
  /** Roots of the channels that can go. */
  readonly roots: ReadonlySet<number>
  /** Why a channel that does nothing, or is constant, has to stay, by root. */
  readonly reasons: ReadonlyMap<number, string>
}

function scanDead(model: Model): Scan {
  const map = mapChannels(model)
  const values = constantValues(model)
  const known = constantSlots(map, values)
  const roots = rootsOfLayers(map, values)
  const reasons = new Map<number, string>()
  for (const root of roots) {
    const pinned = map.slots.reason(root)
    if (pinned !== undefined) reasons.set(root, pinned)
  }
  for (const node of model.graph.nodes)
    noteReaders(node, map, values, known, (slot, reason) => {
      const root = map.slots.find(slot)
      if (!reasons.has(root)) reasons.set(root, reason)
    })
  for (const root of reasons.keys()) roots.delete(root)
  for (const root of lastOnes(map, roots)) {
    roots.delete(root)
    reasons.set(root, 'it is the last channel there')
  }
  return { map, values, known, roots, reasons }
}

/** The view of a node's constant weight. */
function viewOf(node: Node, map: ChannelMap, values: ConstantValues): LayerWeights | undefined {
  const rank = map.context(node)?.inputs[0]?.shape.length
  return rank === undefined ? undefined : layerWeights(node, values(node.inputs[1] ?? ''), rank)
}

/** The first slot of the inputs that a layer sums over, and of the outputs that it makes. */
function endsOf(
  node: Node,
  view: LayerWeights,
  { slots }: ChannelMap,
): { readonly input: number; readonly output: number } {
  return {
    input: slots.axesOf(node.inputs[0])![view.dataAxis].first,
    output: slots.axesOf(node.outputs[0])![view.outputAxis].first,
  }
}

/** The channels that a layer makes or reads. */
function rootsOfLayers(map: ChannelMap, values: ConstantValues): Set<number> {
  const roots = new Set<number>()
  for (const node of map.model.graph.nodes) {
    const view = viewOf(node, map, values)
    if (!view) continue
    const { input, output } = endsOf(node, view, map)
    for (let i = 0; i < view.channels; i++) roots.add(map.slots.find(input + i))
    for (let i = 0; i < view.filters; i++) roots.add(map.slots.find(output + i))
  }
  return roots
}

/** Operators whose ties without an output are places that they leave out. */
const picking = new Set(['Gather', 'Pad', 'Slice'])

/** Calls `note` with each slot that the node needs, and why. */
function noteReaders(
  node: Node,
  map: ChannelMap,
  values: ConstantValues,
  known: ConstantSlots,
  note: (slot: number, reason: string) => void,
): void {
  const label = `${operatorKey(node)} '${nodeLabel(node)}'`
  const view = viewOf(node, map, values)
  if (view) {
    const { input } = endsOf(node, view, map)
    const read = new Uint8Array(view.channels)
    view.forEach((_, channel, value) => {
      if (value !== 0) read[channel] = 1
    })
    const obstacle = biasObstacle(node, view, values)
    for (let channel = 0; channel < view.channels; channel++) {
      const value = known[input + channel]
      if (read[channel] === 0 || value === 0) continue
      if (Number.isNaN(value)) note(input + channel, `${label} reads what becomes of it, and that is not constant`)
      else if (obstacle)
        note(input + channel, `it is always ${value}, which ${label} cannot take into its bias: ${obstacle}`)
    }
    return
  }
  for (const tie of map.ties.get(node) ?? []) {
    if (tie.ports.some(({ side }) => side === 'output') || picking.has(operatorKey(node))) continue
    for (let channel = 0; channel < tie.count; channel++)
      if (!hasZeroOperand(tie, channel, values, known)) note(firstSlot(tie.ports[0], channel), `${label} sums over it`)
  }
}

/** Why a constant input cannot be said by the layer's bias; undefined where it can. */
function biasObstacle(node: Node, view: LayerWeights, values: ConstantValues): string | undefined {
  if (node.op === 'ConvTranspose') return 'its border has fewer taps'
  const pads = intsAttribute(node, 'pads') ?? []
  const padded = stringAttribute(node, 'auto_pad', 'NOTSET').startsWith('SAME') || pads.some((pad) => pad !== 0)
  if (node.op === 'Conv' && padded) return 'it pads the border with zeros'
  return biasOf(node, values, view.filters) ? undefined : 'its bias is no constant of one value a filter'
}

/** Whether one of the operands of a sum of products is zero at the channel. */
function hasZeroOperand(tie: NodeTie, channel: number, values: ConstantValues, known: ConstantSlots): boolean {
  const operands = new Map<number, boolean>()
  for (const port of tie.ports)
    for (let i = 0; i < (port.repeat ?? 1); i++) {
      const slot = firstSlot(port, channel) + i
      const constant = values(port.at.value)
      const value = constant ? uniformAt(constant, port.axis, slot - port.at.first) : known[slot]
      operands.set(port.index, (operands.get(port.index) ?? true) && value === 0)
    }
  return [...operands.values()].includes(true)
}

/** One channel of each axis that would lose all. */
function lastOnes({ slots }: ChannelMap, roots: ReadonlySet<number>): Set<number> {
  const stay = new Set<number>()
  for (const { first, size } of slots.axes) {
    let left = false
    for (let slot = first; slot < first + size && !left; slot++) {
      const root = slots.find(slot)
      left = !roots.has(root) || stay.has(root)
    }
    if (!left && size > 0) stay.add(slots.find(first))
  }
  return stay
}

/** Cuts the roots of a scan, after their constants went into the biases of those who read them. */
function cutScanned({ map, values, known, roots }: Scan): Model {
  const kept = keptPlaces(map, roots)
  const draft = createDraft(cutRoots(map, roots))
  for (const node of map.model.graph.nodes) {
    const view = viewOf(node, map, values)
    if (!view) continue
    const { input } = endsOf(node, view, map)
    const shift = new Float64Array(view.filters)
    view.forEach((filter, channel, value) => {
      if (value !== 0 && known[input + channel] && roots.has(map.slots.find(input + channel)))
        shift[filter] += value * known[input + channel]
    })
    if (!shift.some((value) => value !== 0)) continue
    const places = kept.get(node.outputs[0])?.[view.outputAxis]
    const left = (all: Float64Array) => (places ? Float64Array.from(places, (place) => all[place]) : all)
    const { dtype } = map.context(node)!.outputs[0]
    const alpha = operatorKey(node) === 'Gemm' ? floatAttribute(node, 'alpha', 1) : 1
    const bias = biasOf(node, values, view.filters)!.map((value, filter) => value + alpha * shift[filter])
    setBias(draft, node, fromNumbers(dtype, [left(bias).length], left(bias)))
  }
  return draft.finish()
}

/** Gives the layer that makes the first output of `original` another bias. */
function setBias(draft: Draft, original: Node, bias: Tensor): void {
  const [output] = original.outputs
  const position = draft.nodes.findIndex(({ outputs }) => outputs[0] === output)
  const node = draft.nodes[position]
  if (operatorKey(node) === 'MatMul') {
    const product = draft.fresh(`${output}.product`)
    draft.nodes[position] = { ...node, outputs: [product] }
    const sum = draft.add('Add', [product, draft.constant(`${output}.bias`, bias)])
    draft.nodes[draft.nodes.length - 1] = { ...draft.nodes[draft.nodes.length - 1], outputs: [output] }
    draft.redirect(sum, output)
    return
  }
  const name = draft.constant(node.inputs[2] || `${nodeLabel(node)}.bias`, bias)
  const attributes = node.op === 'Gemm' ? { ...node.attributes, beta: float(1) } : node.attributes
  draft.nodes[position] = { ...node, inputs: [node.inputs[0], node.inputs[1], name], attributes }
}

type Numbering = Map<string, number[]>

/** Adds what a scan removes, by the numbers of the model that was given, and renumbers what stays. */
function noteRemoved({ map, values, roots }: Scan, numbering: Numbering, removed: Map<string, number[]>): void {
  const kept = keptPlaces(map, roots)
  for (const { name, node } of layers(map.model)) {
    const view = viewOf(node, map, values)
    const places = view && kept.get(node.outputs[0])?.[view.outputAxis]
    if (!places) continue
    const before = numbering.get(name) ?? Array.from({ length: view.filters }, (_, filter) => filter)
    const after = places.map((place) => before[place])
    const stays = new Set(after)
    numbering.set(name, after)
    removed.set(name, [...(removed.get(name) ?? []), ...before.filter((filter) => !stays.has(filter))])
  }
}

/** The filters of zeros, and those that nobody reads, which are still there. */
function leftOf({ map, values, known, reasons }: Scan, numbering: Numbering): DeadChannels['left'] {
  return layers(map.model).flatMap(({ name, node }) => {
    const view = viewOf(node, map, values)
    if (!view) return []
    const { output } = endsOf(node, view, map)
    const byReason = new Map<string, number[]>()
    for (let filter = 0; filter < view.filters; filter++) {
      const root = map.slots.find(output + filter)
      const reason = reasons.get(root)
      if (reason === undefined || (Number.isNaN(known[output + filter]) && reason !== 'it is the last channel there'))
        continue
      const number = numbering.get(name)?.[filter] ?? filter
      byReason.set(reason, [...(byReason.get(reason) ?? []), number])
    }
    return [...byReason].map(([reason, channels]) => ({ layer: name, channels, reason }))
  })
}
