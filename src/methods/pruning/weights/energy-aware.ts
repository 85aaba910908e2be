import { z } from 'zod'
import { energyOf } from '../../../hardware/energy.ts'
import type { Model } from '../../../ir/model.ts'
import { refitLayer } from '../../refit.ts'
import { hessianOptions } from '../../row-hessians.ts'
import { defineWeightPruner, type LayerToPrune } from './family/family.ts'
import { restoreBest } from './family/restoring.ts'
import { byGroup, groupOf, selectByRows } from './family/row-selection.ts'
import { masksBelow } from './family/thresholds.ts'
import type { PruningOptions } from './family/options.ts'

const options = {
  ...hessianOptions,
  restore: z
    .number()
    .min(0)
    .max(1)
    .default(0.2)
    .describe(
      'share of the weights that stay which is removed at first, and brought back by what it does to the output',
    ),
}

/** Sections 4.2 to 4.4: removes by magnitude, restores by the error of the output, refits by least squares. */
const inOrder = selectByRows<PruningOptions & z.infer<z.ZodObject<typeof options>>>(
  async (layer) => {
    const { rows, values, remove, context } = layer
    const { length, count } = rows
    const magnitudes = new Float32Array(count * length)
    for (const [r, row] of values.entries()) magnitudes.set(Float32Array.from(row, Math.abs), r * length)
    const back = Math.round((magnitudes.length - remove) * layer.options.restore)
    const [stays] = masksBelow([{ scores: magnitudes, units: undefined }], (remove + back) / magnitudes.length)
    const hessians = byGroup(layer, (hessian) => hessian)
    const metric = (row: number) => hessians(groupOf(rows, row))
    await restoreBest({ values, stays, count: back, metric, pace: layer.pace })
    const kept = values.map((row, r) => [...row.keys()].filter((k) => row[k] !== 0 && stays[r * length + k] === 1))
    return refitLayer({ ...layer, before: values, kept }, layer.options.damping, false, context)
  },
  { sequential: true },
)

/**
 * Goes from the layer that takes most energy to the one that takes least. In each it removes the smallest weights, more
 * than are to go; brings back those without which the outputs err most; and refits what stays by least squares to what
 * the layer put out. Retraining follows when all layers are done. The report says how much energy each layer takes
 * before and after.
 *
 * Differs from the paper: the error is the mean square, not the sum of absolute values; and the least squares aim at what
 * the original weights make of the inputs that the layers pruned before leave.
 */
export const energyAware = defineWeightPruner({
  name: 'energy-aware',
  summary: 'Prunes the layers that take most energy first, by magnitude and by the error of what they put out.',
  paper: {
    title: 'Designing Energy-Efficient Convolutional Neural Networks using Energy-Aware Pruning',
    authors: 'Yang, Chen, Sze',
    venue: 'CVPR',
    year: 2017,
    arxiv: '1611.05128',
  },
  needs: ['calibration-data'],
  options,
  select: (input) => inOrder({ ...input, layers: byEnergy(input.model, input.layers) }),
})

/** Section 4.1: layers that take much energy come first, because what comes first loses least by what was pruned before. */
function byEnergy(model: Model, layers: readonly LayerToPrune[]): LayerToPrune[] {
  const density = new Map(
    layers.map(({ layer, weight }) => [layer.name, weight.filter((value) => value !== 0).length / weight.length]),
  )
  const energy = energyOf(model, (name) => density.get(name))
  const takes = ({ layer }: LayerToPrune) => energy.get(layer.name)?.energyPj ?? 0
  return layers.toSorted((a, b) => takes(b) - takes(a))
}
