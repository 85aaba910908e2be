/** What channels contribute to the outputs of the layers that read them, as a quadratic form: no samples are kept. */
import { z } from 'zod'
import type { ChannelGroup, LayerChannels } from '../../../../ir/channel-groups.ts'
import type { Model } from '../../../../ir/model.ts'
import { elementCount } from '../../../../tensor/tensor.ts'
import type { InputMoments } from '../../../calibration.ts'
import type { Context } from '../../../method.ts'
import { createPace } from '../../../pace.ts'
import { momentsOfWeights, splitRows } from '../../../row-hessians.ts'
import { weightRows } from '../../../weight-rows.ts'
import { finiteWeights } from '../../../weights.ts'
import type { ChannelsToSelect } from './pruner.ts'

/** The options of the criteria that look at the next layer. */
export const nextLayerOptions = {
  samples: z.number().int().min(1).max(100_000).default(256).describe('examples that the next layer is looked at on'),
}

/** The channels of a group, by what the layers that read them make of each. */
export interface NextLayer {
  readonly size: number
  /**
   * E⟨z_i, z_j⟩, [size, size], where z_i = W_i x_i is what channel i adds to the outputs of the next layer, over examples and
   * places. Σ z_i is the output without its bias; what is lost with the channels T is Σ_{i,j∈T} E⟨z_i, z_j⟩.
   */
  readonly products: Float64Array
  /** ‖W_i‖²_F, [size]: the squares of the weights that read channel i. */
  readonly squares: Float64Array
}

/**
 * The selection of a criterion that looks at the next layer: of each group, the channels that `choose` gives for what they
 * contribute there and the number of those that go.
 */
export function selectByNextLayer(choose: (next: NextLayer, count: number) => number[]) {
  return async ({ model, plan, options, context }: ChannelsToSelect<{ samples: number }>) => {
    const groups = plan.map(({ group }) => group)
    const next = await nextLayers(model, groups, options.samples, context)
    return new Map(plan.map(({ group, remove }) => [group.id, choose(next.get(group.id)!, remove)]))
  }
}

/**
 * For each group, by its id, what its channels add to the layers that read them. Of several such layers each counts
 * relative to Σ_i E‖z_i‖², so that none outweighs the others by the scale of its outputs. Layers whose inputs cannot be
 * measured, and groups that no layer sums over, are reported: of these, inputs of unit variance that do not correlate are
 * assumed, or, where there are no such layers, the filters themselves count.
 * @throws UsageError when there is no data, or it does not fit the model.
 */
export async function nextLayers(
  model: Model,
  groups: readonly ChannelGroup[],
  samples: number,
  context: Context,
): Promise<ReadonlyMap<string, NextLayer>> {
  const readers = groups.flatMap(({ consumers }) => consumers.map(({ layer }) => layer.weight))
  const moments = await momentsOfWeights(model, new Set(readers), samples, context)
  const pace = createPace(context)
  const result = new Map<string, NextLayer>()
  for (const group of groups) {
    const sum = { size: group.size, products: new Float64Array(group.size ** 2), squares: new Float64Array(group.size) }
    // A depthwise convolution sums over no channels: what it makes of one goes with it.
    const consumers = group.consumers.filter(({ places }) => places.some((inputs) => inputs.length > 0))
    const measured = consumers.filter(({ layer }) => moments.has(layer.weight))
    for (const consumer of measured)
      addRelative(sum, await contributions(model, consumer, moments.get(consumer.layer.weight)!, pace))
    if (measured.length === 0) {
      const [members, axis, what] =
        consumers.length > 0
          ? [consumers, 'inAxis' as const, 'the weights that read them']
          : [group.producers, 'outAxis' as const, 'the weights that make them']
      const reason = 'what the next layer makes of its channels cannot be measured'
      context.skip(group.producers[0].layer.name, `${reason}: those of '${group.id}' are chosen by ${what}`)
      for (const member of members) addRelative(sum, uncorrelated(model, member, member.layer[axis]))
    }
    result.set(group.id, sum)
  }
  return result
}

function addRelative(sum: NextLayer, { size, products, squares }: NextLayer): void {
  let scale = 0
  for (let i = 0; i < size; i++) scale += products[i * size + i]
  if (scale === 0) return
  for (let i = 0; i < size ** 2; i++) sum.products[i] += products[i] / scale
  for (let i = 0; i < size; i++) sum.squares[i] += squares[i] / scale
}

/** E⟨z_i, z_j⟩ = Σ_r w_r,iᵀ E[x_i x_jᵀ] w_r,j over the rows r of the layer, for one layer. */
async function contributions(
  model: Model,
  { layer, places }: LayerChannels,
  { gram, length, groups }: InputMoments,
  pace: (multiplications: number) => Promise<void>,
): Promise<NextLayer> {
  const size = places.length
  const { shape } = model.graph.initializers.get(layer.weight)!
  const rows = splitRows(
    finiteWeights(layer.weight, model.graph.initializers.get(layer.weight)!),
    weightRows(model, layer)!,
  )
  const products = new Float64Array(size ** 2)
  const squares = new Float64Array(size)
  const perGroup = rows.length / groups
  for (let g = 0; g < groups; g++) {
    const channels = channelsOfRow(places, layer.node.op, { length, along: shape[layer.inAxis!], group: g })
    const columns = [...channels.keys()].filter((column) => channels[column] >= 0)
    const own = rows.slice(g * perGroup, (g + 1) * perGroup)
    for (const a of columns) {
      const i = channels[a]
      const correlation = new Float64Array(length)
      for (const row of own) {
        const factor = row[a]
        if (factor === 0) continue
        squares[i] += factor * factor
        for (let b = 0; b < length; b++) correlation[b] += factor * row[b]
      }
      const line = (g * length + a) * length
      for (const b of columns) products[i * size + channels[b]] += correlation[b] * gram[line + b]
      await pace(own.length * length)
    }
  }
  return { size, products, squares }
}

/** For each place of a row the channel of the group that is read there, or -1. */
function channelsOfRow(
  places: LayerChannels['places'],
  op: string,
  { length, along, group }: { readonly length: number; readonly along: number; readonly group: number },
): Int32Array {
  const channels = new Int32Array(length).fill(-1)
  // A transposed convolution numbers the inputs of all groups; the others those of one, and each has a column a tap.
  const first = op === 'ConvTranspose' ? group * length : 0
  const taps = op === 'ConvTranspose' ? 1 : length / along
  for (const [channel, inputs] of places.entries())
    for (const input of inputs)
      for (let tap = 0; tap < taps; tap++) {
        const column = (input - first) * taps + tap
        if (column >= 0 && column < length) channels[column] = channel
      }
  return channels
}

/** What the squares of the weights along an axis tell, if nothing is known of the inputs. */
function uncorrelated(model: Model, { layer, places }: LayerChannels, axis: number | undefined): NextLayer {
  const size = places.length
  const products = new Float64Array(size ** 2)
  const squares = new Float64Array(size)
  const tensor = model.graph.initializers.get(layer.weight)!
  if (axis === undefined) return { size, products, squares }
  const inner = elementCount(tensor.shape.slice(axis + 1))
  const sums = new Float64Array(tensor.shape[axis])
  for (const [i, value] of finiteWeights(layer.weight, tensor).entries())
    sums[Math.floor(i / inner) % sums.length] += value * value
  for (const [channel, own] of places.entries()) {
    squares[channel] = own.reduce((sum, place) => sum + sums[place], 0)
    products[channel * (size + 1)] = squares[channel]
  }
  return { size, products, squares }
}
