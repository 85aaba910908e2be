/** Bringing back the removed weights that the outputs of a layer miss most. */

export interface Restoring {
  /** The weights, [rows][K]. */
  readonly values: readonly Float64Array[]
  /** By row and place 1 where a weight stays; what comes back is set to 1, [rows · K]. */
  readonly stays: Float32Array
  /** How many weights come back. */
  readonly count: number
  /** The Hessian H of a row's squared output error, [K, K]: removing the weights d costs dᵀ H d. */
  metric(row: number): Float64Array
  /** To be called with the multiplications done, now and then. */
  readonly pace: (multiplications: number) => Promise<void>
}

/**
 * Brings back one weight after the other, each time the one with which the squared error of all outputs becomes least:
 * where d is what a row has lost, w_k coming back lowers dᵀ H d by 2 w_k (H d)_k − w_k² H_kk. Of equal ones the first, and
 * none that is zero anyway before one that is not.
 */
export async function restoreBest({ values, stays, count, metric, pace }: Restoring): Promise<void> {
  if (count === 0) return
  const size = values[0].length
  const pulls: Float64Array[] = []
  for (const [r, row] of values.entries()) {
    const hessian = metric(r)
    const pull = new Float64Array(size)
    for (let k = 0; k < size; k++)
      if (stays[r * size + k] === 0 && row[k] !== 0)
        for (let j = 0; j < size; j++) pull[j] += hessian[k * size + j] * row[k]
    pulls.push(pull)
    await pace(size * size)
  }
  const bestOfRow = (r: number) => {
    let best = { place: -1, gain: Number.NEGATIVE_INFINITY }
    const [row, hessian] = [values[r], metric(r)]
    for (let k = 0; k < size; k++) {
      if (stays[r * size + k] !== 0 || row[k] === 0) continue
      const gain = row[k] * (2 * pulls[r][k] - row[k] * hessian[k * (size + 1)])
      if (gain > best.gain) best = { place: k, gain }
    }
    return best
  }
  const best = values.map((_, r) => bestOfRow(r))
  for (let restored = 0; restored < count; restored++) {
    let r = 0
    for (let other = 1; other < best.length; other++) if (best[other].gain > best[r].gain) r = other
    const { place } = best[r]
    if (place < 0) return
    stays[r * size + place] = 1
    const hessian = metric(r)
    for (let j = 0; j < size; j++) pulls[r][j] -= hessian[place * size + j] * values[r][place]
    best[r] = bestOfRow(r)
    await pace(2 * size + best.length)
  }
}
