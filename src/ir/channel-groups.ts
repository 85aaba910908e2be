/** Groups of channels: those that run through the same axes, and the layers that make and read them. */
import { firstSlot, mapChannels, type ChannelMap, type NodeTie } from './channels.ts'
import type { SlotAxis } from './channel-slots.ts'
import type { Model } from './model.ts'
import { layers, type Layer } from './rewrite.ts'
import { cutForm } from './cut-form.ts'

/** The channels of a group in one layer. */
export interface LayerChannels {
  readonly layer: Layer
  /** For each channel of the group its places along the layer's out axis (producer) or in axis (consumer) of the weight. */
  readonly places: readonly (readonly number[])[]
}

/**
 * Channels that go through the same axes of the graph, each of which can be cut without the others. Residual connections,
 * groups of convolutions and axes that are flattened tie several places into one channel.
 */
export interface ChannelGroup {
  /** The name of the first layer that makes the channels, or else that reads them; further groups of that layer count on. */
  readonly id: string
  /** How many channels there are. */
  readonly size: number
  /** Layers whose outputs the channels are. */
  readonly producers: readonly LayerChannels[]
  /** Layers that sum over the channels. */
  readonly consumers: readonly LayerChannels[]
  /** Why none of the channels can be cut; undefined where they can. */
  readonly reason?: string
}

/** A group, and for each channel the root of its slots in the map that it was made from. */
export interface MappedGroup extends ChannelGroup {
  readonly roots: readonly number[]
}

/**
 * All groups of channels of the main graph that a layer makes or reads, in the order of the layers that make them. What cannot be cut is
 * among them, with its reason. Channels of a group are numbered in the order of their places.
 */
export function channelGroups(model: Model): ChannelGroup[] {
  return mapGroups(mapChannels(cutForm(model).model))
}

/** The groups of a map. */
export function mapGroups(map: ChannelMap): MappedGroup[] {
  const members = new Map<number, { producers: Places; consumers: Places }>()
  const memberOf = (root: number) => {
    const known = members.get(root)
    if (known) return known
    const made = { producers: new Map(), consumers: new Map() }
    members.set(root, made)
    return made
  }
  const order = layers(map.model)
  for (const layer of order)
    for (const tie of map.ties.get(layer.node) ?? []) {
      if (!tie.ports.some(({ side, index }) => side === 'input' && index === layer.input)) continue
      const data = layer.input === 0 ? 1 : 0
      const makes = tie.ports.some(({ side }) => side === 'output')
      const reads = tie.ports.some(({ side, index }) => side === 'input' && index === data)
      for (const root of rootsOf(map, tie)) {
        if (makes) memberOf(root).producers.set(layer, [])
        if (reads) memberOf(root).consumers.set(layer, [])
      }
    }
  const bySignature = new Map<string, number[]>()
  const signatures = signaturesOf(map, members)
  for (const root of [...members.keys()].toSorted((a, b) => a - b)) {
    const signature = signatures.get(root)!
    const known = bySignature.get(signature)
    if (known) known.push(root)
    else bySignature.set(signature, [root])
  }
  placeMembers(map, members)
  const groups = [...bySignature.values()].map((roots) => groupOf(map, roots, members))
  const places = new Map(order.map((layer, place) => [layer, place]))
  const placeOf = ({ producers, consumers }: ChannelGroup) =>
    Math.min(...(producers.length > 0 ? producers : consumers).map(({ layer }) => places.get(layer)!))
  return named(groups.toSorted((a, b) => placeOf(a) - placeOf(b)))
}

type Places = Map<Layer, number[]>
type Members = ReadonlyMap<number, { readonly producers: Places; readonly consumers: Places }>

function rootsOf(map: ChannelMap, { ports, count }: NodeTie): Set<number> {
  return new Set(Array.from({ length: count }, (_, channel) => map.slots.find(firstSlot(ports[0], channel))))
}

/** For each root a text that tells which axes its slots are places of, and why it is pinned. */
function signaturesOf({ slots }: ChannelMap, members: Members): Map<number, string> {
  const axes = new Map<number, string>()
  for (const [index, { first, size }] of slots.axes.entries()) {
    const own = new Set<number>()
    for (let slot = first; slot < first + size; slot++) own.add(slots.find(slot))
    for (const root of own) if (members.has(root)) axes.set(root, `${axes.get(root) ?? ''} ${index}`)
  }
  for (const [root, text] of axes) axes.set(root, `${text}: ${slots.reason(root) ?? ''}`)
  return axes
}

/** Fills in the places of each root in the weights of its layers. */
function placeMembers({ slots }: ChannelMap, members: Members): void {
  const roles = new Map<string, [Layer, 'producers' | 'consumers'][]>()
  const note = (layer: Layer, role: 'producers' | 'consumers', axis: number | undefined) => {
    const key = `${layer.weight} ${axis}`
    roles.set(key, [...(roles.get(key) ?? []), [layer, role]])
  }
  const known = new Set<Layer>()
  for (const { producers, consumers } of members.values())
    for (const layer of [...producers.keys(), ...consumers.keys()]) known.add(layer)
  for (const layer of known) {
    note(layer, 'producers', layer.outAxis)
    note(layer, 'consumers', layer.inAxis)
  }
  for (const { value, axis, first, size } of slots.axes)
    for (const [layer, role] of roles.get(`${value} ${axis}`) ?? [])
      for (let i = 0; i < size; i++)
        members
          .get(slots.find(first + i))
          ?.[role].get(layer)
          ?.push(i)
}

function groupOf(map: ChannelMap, roots: readonly number[], members: Members): MappedGroup {
  const [first] = roots
  const list = (role: 'producers' | 'consumers') =>
    [...members.get(first)![role].keys()].map((layer) => ({
      layer,
      places: roots.map((root) => members.get(root)![role].get(layer) ?? []),
    }))
  const reason = map.slots.reason(first) ?? (roots.length === 1 ? wholeAxis(map, first) : undefined)
  const group = { id: '', size: roots.length, producers: list('producers'), consumers: list('consumers'), roots }
  return reason === undefined ? group : { ...group, reason }
}

/** Why the only channel of a group cannot be cut: an axis has no other. */
function wholeAxis({ slots }: ChannelMap, root: number): string | undefined {
  const isWhole = ({ first, size }: SlotAxis) => {
    for (let slot = first; slot < first + size; slot++) if (slots.find(slot) !== root) return false
    return size > 0
  }
  const axis = slots.axes.find((each) => slots.find(each.first) === root && isWhole(each))
  return axis && `it is all that axis ${axis.axis} of '${axis.value}' has, tied together`
}

/** Gives each group the name of its first layer. */
function named(groups: readonly MappedGroup[]): MappedGroup[] {
  const used = new Map<string, number>()
  return groups.map((group) => {
    const [producer] = group.producers
    const name = producer ? producer.layer.name : `input of ${group.consumers[0].layer.name}`
    const count = (used.get(name) ?? 0) + 1
    used.set(name, count)
    return { ...group, id: count === 1 ? name : `${name} #${count}` }
  })
}
