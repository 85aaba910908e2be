import type { Histogram } from './result.ts'

/** Counts the numbers that are not zero in `bars` equal steps from `from` to `to`; what lies outside counts at the ends. */
export function histogramOf(values: Float32Array, from: number, to: number, bars = 48): Histogram {
  const counts = Array.from({ length: bars }, () => 0)
  let zeros = 0
  const scale = to > from ? bars / (to - from) : 0
  for (const value of values) {
    if (value === 0) zeros++
    else if (Number.isFinite(value)) counts[Math.max(0, Math.min(bars - 1, Math.floor((value - from) * scale)))]++
  }
  return { from, to, counts, zeros }
}

/** The least and the greatest of the finite numbers; 0 and 0 where there are none. */
export function rangeOf(values: Float32Array): { from: number; to: number } {
  let from = Number.POSITIVE_INFINITY
  let to = Number.NEGATIVE_INFINITY
  for (const value of values)
    if (Number.isFinite(value)) {
      if (value < from) from = value
      if (value > to) to = value
    }
  return from <= to ? { from, to } : { from: 0, to: 0 }
}
