import type { Symbols } from './codec.ts'

/** Distances, in row-major symbols, between neighbours of a weight tensor [out, in, ...kernel]. */
export interface Neighbourhood {
  /** Symbols of one kernel window: the distance to the same place of the previous input channel. */
  readonly window: number
  /** Symbols of one row of the window. */
  readonly row: number
  /** Symbols of one filter: the distance to the same place of the previous output channel. */
  readonly filter: number
}

/** The distances of a shape; tensors of rank 0 and 1 count as one filter of one-symbol windows. */
export function neighbourhood(shape: readonly number[] | undefined, count: number): Neighbourhood {
  if (shape === undefined || shape.length < 2) return { window: 1, row: 1, filter: Math.max(1, count) }
  const product = (from: number) =>
    Math.max(
      1,
      shape.slice(from).reduce((total, size) => total * size, 1),
    )
  return { window: product(2), row: shape.length > 2 ? Math.max(1, shape[shape.length - 1]) : 1, filter: product(1) }
}

/**
 * Which neighbours of a symbol are 0, one bit each: the two before, the one in the row before, the one at the same place
 * in the previous input channel, the one at the same place in the previous output channel. 0 to 31.
 */
export function zeroNeighbours(symbols: Symbols, i: number, { window, row, filter }: Neighbourhood): number {
  // (x - 1) >>> 31 is 1 for 0 alone; a comparison would be a branch that no processor can predict.
  let context = 0
  if (i > 0) context = (symbols[i - 1] - 1) >>> 31
  if (i > 1) context |= ((symbols[i - 2] - 1) >>> 31) << 1
  if (row > 1 && i >= row) context |= ((symbols[i - row] - 1) >>> 31) << 2
  if (window > 1 && i >= window) context |= ((symbols[i - window] - 1) >>> 31) << 3
  if (i >= filter) context |= ((symbols[i - filter] - 1) >>> 31) << 4
  return context
}
