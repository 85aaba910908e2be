import type { ConstantValues } from '../../../ir/constant-values.ts'
import { floatAttribute, intAttribute, type Node } from '../../../ir/model.ts'
import { dtypes } from '../../../tensor/dtype.ts'
import { toFloat32 } from '../../../tensor/half.ts'

/** A normalization with the statistics that it has: y = factor · (x - mean) + shift, by channel [C]. */
export interface ChannelAffine {
  /** γ / √(σ² + ε). */
  readonly factor: Float64Array
  readonly mean: Float32Array
  readonly shift: Float32Array
}

/** Whether it is ONNX's operator. */
export function isBatchNorm({ op, domain }: Node): boolean {
  return op === 'BatchNormalization' && domain === ''
}

/** What a normalization multiplies by and adds; undefined where that is computed, not finite, or of the batch. */
export function affineOf(norm: Node, constant: ConstantValues): ChannelAffine | undefined {
  if (intAttribute(norm, 'training_mode', 0) !== 0) return undefined
  const tensors = norm.inputs.slice(1).map((name) => constant(name))
  if (tensors.length < 4 || tensors.some((tensor) => !tensor || dtypes[tensor.dtype].kind !== 'float')) return undefined
  const [gain, shift, mean, variance] = tensors.map((tensor) => toFloat32(tensor!))
  const epsilon = floatAttribute(norm, 'epsilon', 1e-5)
  const factor = Float64Array.from(gain, (value, c) => value / Math.sqrt(variance[c] + epsilon))
  return [factor, mean, shift].every((values) => values.every(Number.isFinite)) ? { factor, mean, shift } : undefined
}
