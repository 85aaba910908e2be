import { z } from 'zod'
import type { Model } from '../../../ir/model.ts'
import { layers, type Layer } from '../../../ir/rewrite.ts'
import { fromFloat32 } from '../../../tensor/half.ts'
import { binaryRow } from '../../binary-rows.ts'
import { chooseLayers, layerChoiceOptions } from '../../layer-choice.ts'
import { defineMethod, type Context } from '../../method.ts'
import { createPace } from '../../pace.ts'
import { retrainOption } from '../../retraining.ts'
import { hessianOptions, joinRows, NO_MOMENTS } from '../../row-hessians.ts'
import { sequentialTargets, type SequentialTargets } from '../../sequential-targets.ts'
import { weightRows, type WeightRows } from '../../weight-rows.ts'
import { finiteLayer, isPlainFloat, withInitializers } from '../../weights.ts'
import { binaryWeightNetworks } from './binary-weight-networks.ts'

const options = z.strictObject({ ...hessianOptions, retrain: retrainOption, ...layerChoiceOptions })
type Options = z.infer<typeof options>

/**
 * Makes each filter a scale times signs, w ≈ α b, such that products with the layer's inputs are preserved, as hashing
 * does: |wᵀX - α bᵀX̂|² is least, by α and by one sign after the other in turn. Layers are done in order, each for the
 * inputs X̂ that those done before it give, and for what it put out before any was changed. The result is one bit a
 * weight and one scale an output channel. Where there is data to train on the whole network is fine-tuned afterwards,
 * as the paper does, in the way of binary weight networks, from the weights that hashing has found.
 *
 * First and last layers are binarized like the others: `exclude` leaves them as they are. A row of zeros stays that.
 *
 * Differs from the paper: the moments of the inputs are damped, against what few examples do not show.
 */
export const binaryWeightsHashing = defineMethod({
  name: 'binary-weights-hashing',
  family: 'quantization',
  summary: 'Makes each filter a scale times signs that keep its products with the inputs, layer by layer.',
  paper: {
    title: 'From Hashing to CNNs: Training Binary Weight Networks via Hashing',
    authors: 'Hu, Wang, Cheng',
    venue: 'AAAI',
    year: 2018,
    arxiv: '1802.02733',
  },
  needs: ['calibration-data'],
  options,
  apply: binarize,
})

async function binarize(model: Model, given: Options, context: Context): Promise<Model> {
  const among = chooseLayers(model, given, context)
  // What is wrong with one layer would show in the inputs of the next.
  for (const layer of among) if (isPlainFloat(model, layer)) finiteLayer(model, layer)
  const chosen = among.map(({ weight }) => weight)
  const pace = createPace(context)
  const hashed: string[] = []
  let current = model
  for (const [position, weight] of chosen.entries()) {
    const layer = layers(current).find((one) => one.weight === weight)!
    const { name } = layer
    context.signal?.throwIfAborted()
    context.progress?.({
      task: 'binary-weights-hashing',
      done: position,
      total: chosen.length,
      detail: { layer: name },
    })
    const rows = rowsOf(current, layer)
    const problem = typeof rows === 'string' ? rows : await sequentialTargets(model, current, weight, given, context)
    if (typeof rows === 'string' || typeof problem !== 'object') {
      context.skip(name, typeof problem === 'string' ? problem : NO_MOMENTS)
      continue
    }
    const tensor = current.graph.initializers.get(weight)!
    const values = fromFloat32(tensor.dtype, tensor.shape, await hash(rows, problem, pace))
    current = withInitializers(current, new Map([[weight, values]]))
    hashed.push(weight)
  }
  context.progress?.({ task: 'binary-weights-hashing', done: chosen.length, total: chosen.length })
  if (hashed.length === 0) return model
  // Signs times scales are what binary weight networks make of such weights, too.
  const { retrain } = given
  const binary = binaryWeightNetworks.options.parse({ include: hashed, retrain })
  return binaryWeightNetworks.apply(current, binary, { ...context, skip: () => {} })
}

/** The hashed weights: α b, row by row. */
async function hash(
  rows: WeightRows,
  { targets, hessians }: SequentialTargets,
  pace: (multiplications: number) => Promise<void>,
): Promise<Float32Array> {
  const { count, length, groups } = rows
  const hashed = targets.map(() => new Float64Array(length))
  for (const [r, target] of targets.entries()) {
    const { scale, signs } = binaryRow(hessians[Math.floor(r / (count / groups))], length, target)
    if (scale > 0) for (let i = 0; i < length; i++) hashed[r][i] = scale * signs[i]
    await pace(4 * length ** 2)
  }
  return Float32Array.from(joinRows(hashed, rows))
}

/** The rows of a layer, one for each index of its output axis; or why there are none. */
function rowsOf(model: Model, layer: Layer): WeightRows | string {
  if (!isPlainFloat(model, layer)) return 'its weights are not plain floats: they were shared or quantized before'
  const values = finiteLayer(model, layer)
  if (values.length === 0) return 'it has no weights'
  const rows = weightRows(model, layer)
  if (!rows) return 'a Reshape or a batch of matrices hides which of its weights are summed'
  if (!rows.whole || layer.node.op === 'ConvTranspose')
    return 'the rows of a transposed convolution are not its output channels: one scale for each of these fits none'
  if (rows.length === 1) return 'its rows have one weight: a scale for each would take as much'
  return rows
}
