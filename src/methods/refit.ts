/** Least squares for what pruning leaves: the weights that stay make up for those that go, as far as they can. */
import { z } from 'zod'
import type { Model } from '../ir/model.ts'
import { layers } from '../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../tensor/half.ts'
import { solveCholesky, submatrix } from '../tensor/linalg.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { InputMoments } from './calibration.ts'
import { biasOfRows, ownBiases } from './layer-biases.ts'
import type { Context } from './method.ts'
import { createPace } from './pace.ts'
import {
  factorOf,
  hessianOptions,
  inverseOf,
  joinRows,
  momentsOfWeights,
  NO_MOMENTS,
  rowHessian,
  splitRows,
  type HessianOptions,
} from './row-hessians.ts'
import { weightRows, type WeightRows } from './weight-rows.ts'
import { withInitializers } from './weights.ts'

/** The option of pruners that refit: false, or how. */
export const refitOption = z
  .union([z.literal(false), z.strictObject(hessianOptions)])
  .describe('least squares of the weights that stay, on training data and before any retraining; false for none')

export type RefitOption = z.input<typeof refitOption>

/**
 * The rows that are zero outside the places `kept` and nearest to the given ones in the metric H: each is the argmin of
 * (w' - w)ᵀ H (w' - w), so w'_kept = w_kept + H_kk⁻¹ H_kr w_r with r what is removed. With H = E[x xᵀ] the outputs w'ᵀx
 * are the least squares fit to wᵀx; on what the data does not show, damping of H keeps the weights as they are.
 * @param hessian H, [size, size], positive definite.
 * @param inverse H⁻¹, if it is known: it saves work where fewer places go than stay.
 * @param place the layer, for the error.
 * @throws UsageError when H is not positive definite.
 */
export function refitRows(
  hessian: Float64Array,
  size: number,
  rows: readonly Float64Array[],
  kept: readonly number[],
  place: string,
  inverse?: Float64Array,
): Float64Array[] {
  const stays = new Set(kept)
  const removed = Array.from({ length: size }, (_, k) => k).filter((k) => !stays.has(k))
  const byInverse = inverse !== undefined && removed.length < kept.length
  const [metric, solved] = byInverse ? [inverse, removed] : [hessian, kept]
  const factor = factorOf(submatrix(metric, size, solved), solved.length, place)
  return rows.map((row) => {
    const fitted = new Float64Array(size)
    if (byInverse) {
      // The constraint w'_r = 0 has the multipliers (H⁻¹_rr)⁻¹ w_r: equation 5 of Frantar and Alistarh, 2022.
      const multipliers = solveCholesky(factor, removed.length, pick(row, removed))
      for (const k of kept) {
        fitted[k] = row[k]
        for (const [i, r] of removed.entries()) fitted[k] -= inverse[k * size + r] * multipliers[i]
      }
      return fitted
    }
    const lost = Float64Array.from(kept, (k) => removed.reduce((sum, r) => sum + hessian[k * size + r] * row[r], 0))
    const gained = solveCholesky(factor, kept.length, lost)
    for (const [i, k] of kept.entries()) fitted[k] = row[k] + gained[i]
    return fitted
  })
}

function pick(values: Float64Array, places: readonly number[]): Float64Array {
  return Float64Array.from(places, (place) => values[place])
}

/**
 * The model whose masked weights are zero and whose other weights are refitted, so that on the training data each
 * layer puts out what it did, as nearly as it can from the same inputs. A bias of the layer's own is fitted as well.
 * Weights that are zero already stay zero. Layers whose inputs cannot be measured are only masked, and reported.
 *
 * Rows with the same mask share one Cholesky factor; else a row costs the cube of the smaller of its kept and its removed
 * weights / 6 multiplications: 512 rows of 2,304 weights, half of them kept, take eight minutes of one core,
 * a tenth of them a few seconds.
 * @param masks by weight name, 0 where a weight goes, of the weight's shape.
 * @throws UsageError when there is no data, or it does not fit the model.
 */
export async function refitWeights(
  model: Model,
  masks: ReadonlyMap<string, Float32Array>,
  context: Context,
  { samples, damping }: HessianOptions,
): Promise<Model> {
  const moments = await momentsOfWeights(model, new Set(masks.keys()), samples, context)
  const biases = ownBiases(model)
  const replaced = new Map<string, Tensor>()
  let done = 0
  for (const layer of layers(model)) {
    const mask = masks.get(layer.weight)
    if (!mask || replaced.has(layer.weight)) continue
    const progress = { task: 'refit', done: done++, total: masks.size, detail: { layer: layer.name } }
    context.progress?.(progress)
    const weight = model.graph.initializers.get(layer.weight)!
    const values = toFloat32(weight).map((value, i) => (mask[i] === 0 ? 0 : value))
    const rows = weightRows(model, layer)
    const own = moments.get(layer.weight)
    if (!rows || !own) {
      context.skip(layer.name, `its weights were not refitted: ${NO_MOMENTS}`)
      replaced.set(layer.weight, fromFloat32(weight.dtype, weight.shape, values))
      continue
    }
    const bias = biasOfRows(model, layer, rows, biases)
    const before = splitRows(toFloat32(weight), rows)
    const kept = splitRows(values, rows).map((row) => [...row.keys()].filter((k) => row[k] !== 0))
    const after = await refitLayer(
      { name: layer.name, rows, moments: own, before, kept },
      damping,
      bias !== undefined,
      context,
    )
    replaced.set(layer.weight, fromFloat32(weight.dtype, weight.shape, joinRows(after, rows)))
    if (bias) {
      const lost = meansLost(before, after, own, rows)
      const shifted = toFloat32(bias.tensor).map((value, r) => value + lost[r])
      replaced.set(bias.name, fromFloat32(bias.tensor.dtype, bias.tensor.shape, shifted))
    }
  }
  context.progress?.({ task: 'refit', done: masks.size, total: masks.size })
  return withInitializers(model, replaced)
}

export interface RowsToRefit {
  /** The layer, for errors. */
  readonly name: string
  readonly rows: WeightRows
  readonly moments: InputMoments
  readonly before: readonly Float64Array[]
  /** The places of each row that stay; not those that are zero. */
  readonly kept: readonly (readonly number[])[]
}

/**
 * The rows with zeros outside the places that stay, refitted to what they were.
 * @param centred whether a bias takes up what the mean of the outputs loses.
 * @throws UsageError as `refitRows` does.
 */
export async function refitLayer(
  { name, rows, moments, before, kept }: RowsToRefit,
  damping: number,
  centred: boolean,
  context: Context,
): Promise<Float64Array[]> {
  const { count, length, groups } = rows
  const pace = createPace(context)
  const after = before.slice()
  for (let g = 0; g < groups; g++) {
    const alike = new Map<string, number[]>()
    for (let r = (g * count) / groups; r < ((g + 1) * count) / groups; r++) {
      const lost = before[r].reduce((sum, value) => sum + (value === 0 ? 0 : 1), -kept[r].length)
      if (lost === 0) continue
      const key = kept[r].join()
      alike.set(key, [...(alike.get(key) ?? []), r])
    }
    if (alike.size === 0) continue
    const hessian = rowHessian(moments, g, damping, centred)
    const shares = [...alike.values()].map(([r]) => kept[r].length)
    // An inverse costs as much as the cube; it pays where most masks keep more than they remove.
    const saved = shares.reduce((sum, stay) => sum + Math.max(0, stay ** 3 - (length - stay) ** 3) / 6, 0)
    const inverse = saved > length ** 3 / 2 ? inverseOf(hessian, length, name) : undefined
    for (const members of alike.values()) {
      const places = kept[members[0]]
      const fitted = refitRows(
        hessian,
        length,
        members.map((r) => before[r]),
        places,
        name,
        inverse,
      )
      for (const [i, r] of members.entries()) after[r] = fitted[i]
      await pace(places.length ** 3 / 6 + members.length * length * places.length)
    }
  }
  return after
}

/** What each row's mean output lost. */
function meansLost(
  before: readonly Float64Array[],
  after: readonly Float64Array[],
  { mean, length }: InputMoments,
  { count, groups }: WeightRows,
): Float64Array {
  return Float64Array.from(before, (row, r) => {
    const first = Math.floor(r / (count / groups)) * length
    return row.reduce((sum, value, k) => sum + mean[first + k] * (value - after[r][k]), 0)
  })
}
