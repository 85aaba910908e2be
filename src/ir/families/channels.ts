/** Sums and statistics over all axes but the channel axis 1, as the normalizations need them. */
import { elementCount } from '../../tensor/tensor.ts'

type Numbers = Float32Array | Float64Array

/** The axes of a value with `rank` axes other than 1. */
export function axesButChannel(rank: number): number[] {
  return Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1)
}

/** The shape [1, channels, 1, ...] in which a value per channel broadcasts against [batch, channels, ...]. */
export function channelShape(shape: readonly number[]): number[] {
  return shape.map((size, axis) => (axis === 1 ? size : 1))
}

/** Calls `visit` with each flat index of [batch, channels, ...spatial] and its channel. */
export function forEachChannel(shape: readonly number[], visit: (index: number, channel: number) => void): void {
  const channels = shape[1] ?? 1
  const plane = elementCount(shape.slice(2))
  let at = 0
  for (let n = 0; n < shape[0]; n++) for (let c = 0; c < channels; c++) for (let i = 0; i < plane; i++) visit(at++, c)
}

/** Mean and biased variance of each channel of [batch, channels, ...spatial], in two passes. */
export function channelStatistics(
  values: Numbers,
  shape: readonly number[],
): { mean: Float64Array; variance: Float64Array; count: number } {
  const channels = shape[1] ?? 1
  const count = values.length / channels
  const mean = new Float64Array(channels)
  const variance = new Float64Array(channels)
  forEachChannel(shape, (i, c) => {
    mean[c] += values[i] / count
  })
  forEachChannel(shape, (i, c) => {
    variance[c] += (values[i] - mean[c]) ** 2 / count
  })
  return { mean, variance, count }
}

/** y = scale * (x - mean) / sqrt(variance + epsilon) + bias, channel by channel. */
export function normalizeChannels(
  x: Numbers,
  shape: readonly number[],
  statistics: { readonly mean: Numbers; readonly variance: Numbers },
  scale: Numbers,
  bias: Numbers,
  epsilon: number,
): Float64Array {
  const { mean, variance } = statistics
  const y = new Float64Array(x.length)
  forEachChannel(shape, (i, c) => {
    y[i] = (scale[c] * (x[i] - mean[c])) / Math.sqrt(variance[c] + epsilon) + bias[c]
  })
  return y
}
