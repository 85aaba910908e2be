/** Cutting channels out of a graph, so that nothing of them is left. */
import { nearestName, UsageError } from '../errors.ts'
import { dtypes } from '../tensor/dtype.ts'
import { fromNumbers } from '../tensor/elements.ts'
import { mapGroups, type MappedGroup } from './channel-groups.ts'
import { mapChannels, type ChannelMap } from './channels.ts'
import { createDraft, type Draft } from './draft.ts'
import { takeAxes } from './families/movement.ts'
import { inferShapes } from './infer.ts'
import { operatorKey, type Model, type Node } from './model.ts'
import type { KeptPlaces } from './operator.ts'
import { operators } from './ops/index.ts'
import { cutForm } from './cut-form.ts'

/** Channels to remove, by the id of their group. */
export type Removals = ReadonlyMap<string, Iterable<number>>

/**
 * The model without some channels: weights, biases, statistics, slopes, masks, codes and scales, sizes written into the
 * graph and the nodes themselves are rewritten so that the result is a smaller dense network. It computes what the model
 * computes when the values of these channels are zero.
 * @throws UsageError when a group or channel is not there, a group cannot be cut, or nothing would be left of it.
 */
export function cutChannels(model: Model, removals: Removals): Model {
  const form = cutForm(model)
  const map = mapChannels(form.model)
  const removed = removedRoots(mapGroups(map), removals)
  return removed.size === 0 ? model : form.restore(cutRoots(map, removed))
}

/**
 * The model with the values of some channels multiplied by zero wherever a node makes them: what `cutChannels` must
 * compute, in the original's shapes.
 * @throws UsageError as `cutChannels` does.
 */
export function maskChannels(model: Model, removals: Removals): Model {
  const form = cutForm(model)
  const map = mapChannels(form.model)
  const kept = keptPlaces(map, removedRoots(mapGroups(map), removals))
  const types = inferShapes(map.model)
  const draft = createDraft(map.model)
  for (const { outputs } of map.model.graph.nodes)
    for (const output of outputs) {
      const places = kept.get(output)
      const dtype = types.get(output)?.dtype
      if (!places || !dtype || dtypes[dtype].kind !== 'float') continue
      for (const [axis, left] of places.entries()) {
        if (!left) continue
        const { size } = map.slots.axesOf(output)![axis]
        const values = new Float64Array(size)
        for (const place of left) values[place] = 1
        const shape = places.map((_, other) => (other === axis ? size : 1))
        multiplyReaders(draft, output, draft.constant(`${output}.mask`, fromNumbers(dtype, shape, values)))
      }
    }
  return form.restore(draft.finish())
}

/** Makes every reader of `value` read its product with another value. */
export function multiplyReaders(draft: Draft, value: string, factor: string): void {
  draft.interpose(value, () => draft.add('Mul', [value, factor]))
}

/** The roots of the channels that `removals` name. @throws UsageError when one is not there or cannot be cut. */
export function removedRoots(groups: readonly MappedGroup[], removals: Removals): Set<number> {
  const byId = new Map(groups.map((group) => [group.id, group]))
  const removed = new Set<number>()
  for (const [id, channels] of removals) {
    const group = byId.get(id)
    if (!group) {
      const nearest = nearestName(id, byId.keys())
      throw new UsageError('unknown-channel-group', `the model has no group of channels '${id}'`, {
        place: id,
        hint: nearest === undefined ? undefined : `Did you mean '${nearest}'?`,
      })
    }
    for (const channel of channels) {
      if (group.roots[channel] === undefined)
        throw new UsageError(
          'unknown-channel',
          `group '${id}' has ${group.size} channels, and none numbered ${channel}`,
          {
            place: id,
          },
        )
      if (group.reason !== undefined)
        throw new UsageError('channel-tied', `the channels of '${id}' cannot be cut: ${group.reason}`, {
          place: id,
          hint: 'Leave the layer out.',
        })
      removed.add(group.roots[channel])
    }
  }
  return removed
}

/**
 * Cuts the channels with the given roots out of the map's model.
 * @throws UsageError when nothing would be left of an axis.
 */
export function cutRoots(map: ChannelMap, roots: ReadonlySet<number>): Model {
  const kept = keptPlaces(map, roots)
  const draft = createDraft(map.model)
  for (const [name, tensor] of map.model.graph.initializers) {
    const places = kept.get(name)
    if (places) draft.initializers.set(name, takeAxes(tensor, places))
  }
  for (const [position, node] of map.model.graph.nodes.entries())
    if ([...node.inputs, ...node.outputs].some((value) => kept.has(value)))
      draft.nodes[position] = fitted(node, map, kept, draft)
  return draft.finish()
}

/** For each value that loses channels the places that stay. @throws UsageError when an axis would become empty. */
export function keptPlaces({ slots }: ChannelMap, roots: ReadonlySet<number>): Map<string, KeptPlaces> {
  const kept = new Map<string, (readonly number[] | undefined)[]>()
  for (const { value, axis, first, size } of slots.axes) {
    const places: number[] = []
    for (let i = 0; i < size; i++) if (!roots.has(slots.find(first + i))) places.push(i)
    if (places.length === size) continue
    if (places.length === 0)
      throw new UsageError('cut-whole-axis', `nothing would be left of the ${size} channels of '${value}'`, {
        place: value,
        hint: 'Keep at least one channel of every layer: choose a smaller ratio.',
      })
    const entry = kept.get(value) ?? slots.axesOf(value)!.map(() => undefined)
    entry[axis] = places
    kept.set(value, entry)
  }
  return kept
}

/** The node, fitted to inputs and outputs that have lost channels. */
function fitted(node: Node, map: ChannelMap, kept: ReadonlyMap<string, KeptPlaces>, draft: Draft): Node {
  const record = operators.get(operatorKey(node))
  const context = map.context(node)
  if (!record?.cut || !context) return node
  const hint = node.name || node.outputs[0]
  return record.cut({
    ...context,
    keptInputs: node.inputs.map((value) => kept.get(value)),
    keptOutputs: node.outputs.flatMap((value) =>
      value === '' ? [] : [kept.get(value) ?? map.slots.axesOf(value)!.map(() => undefined)],
    ),
    literal: (tensor) => draft.constant(`${hint}.cut`, tensor),
    emit: (op, inputs, attributes) => draft.add(op, inputs, attributes, { name: `${hint}/${op}` }),
  })
}
