/** Normalization over the innermost elements of rows: what LayerNormalization, InstanceNormalization and kin share. */

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
