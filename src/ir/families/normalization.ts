/** Normalization over the innermost elements of rows: what LayerNormalization, InstanceNormalization and kin share. */
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import { floatAttribute } from '../model.ts'
import type { EvaluateContext } from '../operator.ts'

/** Mean and inverse standard deviation, 1 / sqrt(variance + epsilon), of each row of `size` consecutive values. */
export function rowStatistics(
  values: Float64Array,
  size: number,
  epsilon: number,
): { mean: Float64Array; inverse: Float64Array } {
  const rows = size === 0 ? 0 : values.length / size
  const mean = new Float64Array(rows)
  const inverse = new Float64Array(rows)
  for (let row = 0; row < rows; row++) {
    let sum = 0
    for (let i = 0; i < size; i++) sum += values[row * size + i]
    mean[row] = sum / size
    let squares = 0
    for (let i = 0; i < size; i++) squares += (values[row * size + i] - mean[row]) ** 2
    inverse[row] = 1 / Math.sqrt(squares / size + epsilon)
  }
  return { mean, inverse }
}

/** (x - mean) * inverse, row by row. */
export function normalizeRows(
  values: Float64Array,
  size: number,
  { mean, inverse }: { readonly mean: Float64Array; readonly inverse: Float64Array },
): Float64Array {
  return values.map((value, i) => {
    const row = Math.floor(i / size)
    return (value - mean[row]) * inverse[row]
  })
}

/** Normalizes `groups` groups of consecutive channels of x [batch, channels, ...spatial], then scales and shifts. */
export function normalizeGroups({ node, inputs: [x, scale, bias] }: EvaluateContext, groups: number): Tensor[] {
  const values = toNumbers(x!)
  const plane = elementCount(x!.shape.slice(2))
  const size = (x!.shape[1] / groups) * plane
  const statistics = rowStatistics(values, size, floatAttribute(node, 'epsilon', 1e-5))
  const [gain, shift] = [toNumbers(scale!), toNumbers(bias!)]
  const y = normalizeRows(values, size, statistics).map((value, i) => {
    const channel = Math.floor(i / plane) % gain.length
    return value * gain[channel] + shift[channel]
  })
  return [fromNumbers(x!.dtype, x!.shape, y)]
}
