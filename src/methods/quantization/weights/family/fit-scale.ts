import { largestMagnitude } from '../../../../tensor/magnitudes.ts'

/** Values on which starting points are compared where there are more. */
const SAMPLE = 1 << 16

/** Starting points, each a fourth root of two below the one before: from the largest value down to a sixteenth of it. */
const STARTS = 17

/** Rounds from a starting point, and from the best one. */
const [FEW, MANY] = [5, 200]

/**
 * The scale α > 0 with the least Σ (w - α q)² where q is the nearest code to w / α, by turns of both: q by α, then
 * α = w·q / q·q. Each turn makes the sum smaller or leaves it; the best of many starting points is taken, which is the
 * optimum or close to it.
 * @param values not all zero.
 * @param nearest gives codes of -largest to largest, with the sign of the value.
 */
export function fitScale(values: Float32Array, nearest: (value: number) => number, largest: number): number {
  const every = Math.ceil(values.length / SAMPLE)
  const sample = every === 1 ? values : values.filter((_, i) => i % every === 0)
  const top = largestMagnitude(values) / largest
  let best = { scale: top, gain: -1 }
  for (let start = 0; start < STARTS; start++) {
    const found = alternate(sample, nearest, top * 2 ** (-start / 4), FEW)
    if (found.gain > best.gain) best = found
  }
  return alternate(values, nearest, best.scale, MANY).scale
}

/** `gain` is Σ w² less the squared error: (w·q)² / q·q. */
function alternate(values: Float32Array, nearest: (value: number) => number, start: number, rounds: number) {
  let [scale, gain] = [start, 0]
  for (let round = 0; round < rounds; round++) {
    let [product, squares] = [0, 0]
    for (const value of values) {
      const code = nearest(value / scale)
      product += value * code
      squares += code * code
    }
    if (!(product > 0)) break
    const next = product / squares
    gain = (product * product) / squares
    if (next === scale) break
    scale = next
  }
  return { scale, gain }
}
