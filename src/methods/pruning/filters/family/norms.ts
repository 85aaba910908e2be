import { z } from 'zod'
import { elementCount } from '../../../../tensor/tensor.ts'
import { finiteWeights } from '../../../weights.ts'
import type { FiltersToScore } from './pruner.ts'

/** A norm: a function of the sum over a function of each weight. */
export interface Norm {
  term(weight: number): number
  root(sum: number): number
}

/** The options of the criteria that are norms of filters. */
export const normOptions = {
  outgoing: z
    .boolean()
    .default(false)
    .describe('multiply the norm of a filter by that of the weights that read its channel'),
}

/** The norm of each filter, times that of the weights that read what it makes if `outgoing` says so. */
export function filterNorms(
  filters: FiltersToScore<z.infer<z.ZodObject<typeof normOptions>>>,
  norm: Norm,
): Float64Array {
  const { weight, shape, outAxis, options } = filters
  const norms = sumsAlong(weight, shape, outAxis, norm).map((sum) => norm.root(sum))
  if (!options.outgoing) return norms
  const factors = outgoingNorms(filters, norm)
  return norms.map((own, filter) => own * factors[filter])
}

/** For each filter the norm of all weights that read the channel that it makes; 0 where it makes none of the group. */
function outgoingNorms({ layer, group, model, shape, outAxis }: FiltersToScore, norm: Norm): Float64Array {
  const sums = new Float64Array(group.size)
  for (const { layer: reader, places } of group.consumers) {
    if (reader.inAxis === undefined) continue
    const tensor = model.graph.initializers.get(reader.weight)!
    const own = sumsAlong(finiteWeights(reader.weight, tensor), tensor.shape, reader.inAxis, norm)
    for (const [channel, inputs] of places.entries()) for (const input of inputs) sums[channel] += own[input]
  }
  const result = new Float64Array(shape[outAxis])
  const { places } = group.producers.find((producer) => producer.layer === layer)!
  for (const [channel, filters] of places.entries())
    for (const filter of filters) result[filter] = norm.root(sums[channel])
  return result
}

/** The sums of the terms over all axes but one: [...shape] -> [shape[axis]]. */
function sumsAlong(weights: Float32Array, shape: readonly number[], axis: number, { term }: Norm): Float64Array {
  const inner = elementCount(shape.slice(axis + 1))
  const sums = new Float64Array(shape[axis])
  for (let i = 0; i < weights.length; i++) sums[Math.floor(i / inner) % shape[axis]] += term(weights[i])
  return sums
}
