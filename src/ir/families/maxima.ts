/** Where the maxima of windows lie: shared by MaxPool and its gradient. */
import { elementCount } from '../../tensor/tensor.ts'
import { listTaps, type Windows } from '../windows.ts'

/**
 * The maximum of each window and its flat index in x; of equal elements the first in row-major order.
 * A window that meets no element (all padding) has the maximum -Infinity and the index 0 of its plane.
 * @param x shape [batch, channels, ...spatial]; `y`: [batch, channels, ...windows].
 */
export function findMaxima(
  values: Float32Array | Float64Array,
  x: readonly number[],
  y: readonly number[],
  windows: Windows,
): { maxima: Float64Array; indices: Float64Array } {
  const taps = listTaps(x.slice(2), y.slice(2), windows)
  const [xPlane, yPlane] = [elementCount(x.slice(2)), elementCount(y.slice(2))]
  const maxima = new Float64Array(elementCount(y)).fill(Number.NEGATIVE_INFINITY)
  const indices = new Float64Array(maxima.length)
  for (let plane = 0; plane < x[0] * x[1]; plane++) {
    indices.fill(plane * xPlane, plane * yPlane, (plane + 1) * yPlane)
    for (let t = 0; t < taps.output.length; t++) {
      const at = plane * yPlane + taps.output[t]
      const from = plane * xPlane + taps.input[t]
      if (values[from] > maxima[at]) {
        maxima[at] = values[from]
        indices[at] = from
      }
    }
  }
  return { maxima, indices }
}
