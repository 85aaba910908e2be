/** A model whose channels can be switched off from outside, without another graph for every choice. */
import { dtypes } from '../tensor/dtype.ts'
import { float32, int64, type Tensor } from '../tensor/tensor.ts'
import { mapGroups } from './channel-groups.ts'
import { mapChannels } from './channels.ts'
import { multiplyReaders, removedRoots, type Removals } from './cut.ts'
import { cutForm } from './cut-form.ts'
import { createDraft } from './draft.ts'
import { elementType } from './element-type.ts'
import { broadcastTies } from './families/broadcast.ts'
import { poolTies } from './families/pooling.ts'
import { inferShapes } from './infer.ts'
import { operatorKey, type Model, type Node } from './model.ts'
import { operators } from './ops/index.ts'

/** A model, and the initializer that holds what the channels of some groups are multiplied by. */
export interface MaskedModel {
  readonly model: Model
  /** The initializer's name: float32 [1 + channels], all ones, the first of which stands for what is never masked. */
  readonly mask: string
  /** The value of the mask with which the model computes what `cutChannels` with these removals computes. */
  maskOf(removals: Removals): Tensor<'float32'>
}

/**
 * Multiplies the channels of the groups by a mask wherever their values are read by something that looks at more than one
 * channel at a time. What only passes channels on, such as an activation or a normalization in front of it, is left as
 * it is, so that an engine fuses it with the convolution as ever.
 * @throws UsageError when a group is not there or cannot be cut.
 */
export function withMaskInput(model: Model, ids: Iterable<string>): MaskedModel {
  const form = cutForm(model)
  const map = mapChannels(form.model)
  const groups = mapGroups(map)
  const byId = new Map(groups.map((group) => [group.id, group]))
  const all = new Map(Array.from(ids, (id) => [id, Array.from({ length: byId.get(id)?.size ?? 1 }, (_, i) => i)]))
  const maskable = groups.filter(({ id }) => all.has(id))
  const places = new Map(Array.from(removedRoots(groups, all), (root, i) => [root, i + 1]))
  const types = inferShapes(map.model)
  const isFloat = (value: string) => dtypes[types.get(value)?.dtype ?? 'bool'].kind === 'float'
  /** For each axis of a value the places in the mask of its channels, where any is masked. */
  const masksOf = (value: string) =>
    (isFloat(value) ? (map.slots.axesOf(value) ?? []) : []).flatMap(({ axis, first, size }) => {
      const own = Array.from({ length: size }, (_, i) => places.get(map.slots.find(first + i)) ?? 0)
      return own.some((place) => place > 0) ? [{ axis, own }] : []
    })
  const seen = watched(map.model, isFloat)
  const draft = createDraft(map.model)
  const mask = draft.constant('channel.mask', ones(places.size + 1))
  for (const { outputs } of map.model.graph.nodes)
    for (const output of outputs) {
      if (!seen.has(output)) continue
      const { dtype, shape } = types.get(output) ?? {}
      for (const { axis, own } of masksOf(output)) {
        const along = shape!.map((_, other) => (other === axis ? own.length : 1))
        const index = draft.constant('channel.places', int64(own, along))
        const factor = draft.add('Gather', [mask, index])
        const cast = dtype === 'float32' ? factor : draft.add('Cast', [factor], { to: elementType(dtype!) })
        multiplyReaders(draft, output, cast)
      }
    }
  return {
    model: form.restore(draft.finish({ keepUnused: true })),
    mask,
    maskOf(removals) {
      const value = ones(places.size + 1)
      for (const root of removedRoots(maskable, removals)) value.data[places.get(root)!] = 0
      return value
    },
  }
}

function ones(count: number): Tensor<'float32'> {
  return float32(new Float32Array(count).fill(1), [count])
}

/** The values that something reads which may look at several channels at a time, or after which no mask is multiplied. */
function watched({ graph }: Model, isFloat: (value: string) => boolean): Set<string> {
  const seen = new Set(graph.outputs.map(({ name }) => name))
  for (const node of graph.nodes)
    if (!passesChannelsOn(node) || !node.outputs.every(isFloat)) for (const value of node.inputs) seen.add(value)
  return seen
}

/** Operators that move values, or scale and shift them, channel by channel. */
const movers = new Set(
  'BatchNormalization Concat Dropout Flatten Pad Reshape Slice Split Squeeze Transpose Unsqueeze'.split(' '),
)

/** Whether a channel of the node's output depends on the same channel of its inputs alone. */
function passesChannelsOn(node: Node): boolean {
  const coupling = operators.get(operatorKey(node))?.coupling
  return coupling === broadcastTies || coupling === poolTies || movers.has(operatorKey(node))
}
