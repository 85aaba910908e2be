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
