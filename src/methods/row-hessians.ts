/** How much the outputs of a layer change with its weights: the Hessian that pruning by second derivatives works with. */
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import type { Model } from '../ir/model.ts'
import { layers } from '../ir/rewrite.ts'
import { cholesky, invertCholesky } from '../tensor/linalg.ts'
import { calibrationSet, inputMoments, type InputMoments } from './calibration.ts'
import type { Context } from './method.ts'
import type { WeightRows } from './weight-rows.ts'

/** The options of everything that measures the inputs of layers. */
export const hessianOptions = {
  samples: z.number().int().min(1).max(100_000).default(256).describe('examples that the inputs are looked at on'),
  damping: z
    .number()
    .min(1e-6)
    .max(10)
    .default(0.01)
    .describe('share of the mean square of the inputs that is added to each, against what few examples do not show'),
}

export type HessianOptions = z.infer<z.ZodObject<typeof hessianOptions>>

/**
 * The moments of the inputs of all layers that read the weights, by the weight's name, over the first `samples` training
 * examples. A weight whose rows cannot be told, or are very long, has none.
 * @throws UsageError when there is no data, or it does not fit the model.
 */
export async function momentsOfWeights(
  model: Model,
  weights: ReadonlySet<string>,
  samples: number,
  context: Context,
): Promise<ReadonlyMap<string, InputMoments>> {
  const readers = layers(model).filter(({ weight }) => weights.has(weight))
  return inputMoments(model, readers, calibrationSet(context), samples, context)
}

/** Why a layer has no moments, for the report. */
export const NO_MOMENTS = 'its rows are too long, or cannot be told, to measure the moments of its inputs'

/**
 * H = E[x xᵀ] + damping · mean of its diagonal · I of one group, [K, K]: a change Δ of a row changes its output by Δᵀ H Δ in
 * the mean square. Centred it is the covariance of the inputs: what is left when the bias takes up the mean.
 */
export function rowHessian(
  { length, gram, mean }: InputMoments,
  group: number,
  damping: number,
  centred = false,
): Float64Array {
  const hessian = gram.slice(group * length ** 2, (group + 1) * length ** 2)
  if (centred)
    for (let i = 0; i < length; i++)
      for (let j = 0; j < length; j++) hessian[i * length + j] -= mean[group * length + i] * mean[group * length + j]
  let trace = 0
  for (let i = 0; i < length; i++) trace += hessian[i * length + i]
  // Inputs that never are anything else than zero tell nothing, and any damping does.
  const added = (damping * trace) / length || 1
  for (let i = 0; i < length; i++) hessian[i * length + i] += added
  return hessian
}

/**
 * The Cholesky factor of a Hessian.
 * @param place the layer, for the error.
 * @throws UsageError when the Hessian is not positive definite.
 */
export function factorOf(hessian: Float64Array, size: number, place: string): Float64Array {
  const factor = cholesky(hessian, size)
  if (!factor)
    throw new UsageError('calibration-singular', 'the inputs of the layer on the data leave no metric of its errors', {
      place,
      hint: 'Give more examples, or a larger damping.',
    })
  return factor
}

/** The inverse of a Hessian. @throws UsageError as `factorOf` does. */
export function inverseOf(hessian: Float64Array, size: number, place: string): Float64Array {
  return invertCholesky(factorOf(hessian, size, place), size)
}

/** The rows of a weight, [K] each, in the order of `WeightRows`. */
export function splitRows(values: ArrayLike<number>, { count, length, base, stride }: WeightRows): Float64Array[] {
  return Array.from({ length: count }, (_, r) => Float64Array.from({ length }, (__, k) => values[base[r] + k * stride]))
}

/** The weight with these rows: the inverse of `splitRows`. */
export function joinRows(rows: readonly Float64Array[], { length, base, stride }: WeightRows): Float32Array {
  const values = new Float32Array(rows.length * length)
  for (const [r, row] of rows.entries()) for (let k = 0; k < length; k++) values[base[r] + k * stride] = row[k]
  return values
}
