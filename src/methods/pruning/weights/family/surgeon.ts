import { UsageError } from '../../../../errors.ts'

/** A weight that was removed, and by how much the error grew. */
export interface Removal {
  readonly place: number
  /** L_q = w_q² / (2 [H⁻¹]_qq). */
  readonly loss: number
}

/**
 * Optimal Brain Surgeon's elimination: removes one weight after the other, each time the one whose removal costs least when
 * all others make up for it (Hassibi and Stork, 1993, equation 5):
 *
 *     L_q = w_q² / (2 [H⁻¹]_qq),   δw = - w_q / [H⁻¹]_qq · H⁻¹ e_q.
 *
 * Row and column q then leave H⁻¹ (Lemma 1 of Frantar and Alistarh, 2022), so that what is removed stays zero. Weights
 * that are zero already go first. A step costs the square of the number of weights left / 2 multiplications.
 */
export interface Surgeon {
  /** Weights left. */
  readonly left: number
  /**
   * Removes the cheapest weight among those at the places that are allowed; of equals the first.
   * @returns undefined when there is none.
   * @throws UsageError when rounding has left no inverse.
   */
  next(allowed?: (place: number) => boolean): Removal | undefined
  /** The weights as they are now, by place: zero where they were removed. */
  weights(): Float64Array
}

/**
 * @param inverse H⁻¹, [size, size], symmetric; it is used up.
 * @param weights [size]
 * @param place the layer, for the error.
 */
export function createSurgeon(inverse: Float64Array, weights: Float64Array, place: string): Surgeon {
  const size = weights.length
  const rest = weights.slice()
  // What is left lies in the first slots; of the inverse only the lower triangle is kept up.
  const places = Uint32Array.from({ length: size }, (_, slot) => slot)
  let left = size
  const at = (i: number, j: number) => (i > j ? i * size + j : j * size + i)

  function cheapest(allowed?: (place: number) => boolean): { slot: number; loss: number } | undefined {
    let slot = -1
    let loss = Infinity
    for (let s = 0; s < left; s++) {
      if (allowed && !allowed(places[s])) continue
      const own = rest[s] ** 2 / (2 * inverse[s * size + s])
      if (own < loss || (own === loss && slot >= 0 && places[s] < places[slot])) [slot, loss] = [s, own]
    }
    return slot < 0 ? undefined : { slot, loss }
  }

  function eliminate(slot: number): void {
    const pivot = inverse[slot * size + slot]
    if (!(pivot > 0))
      throw new UsageError('calibration-singular', 'rounding has left no inverse of the metric of errors', {
        place,
        hint: 'Give more examples, or a larger damping.',
      })
    const column = Float64Array.from({ length: left }, (_, i) => inverse[at(i, slot)])
    const moved = rest[slot] / pivot
    for (let i = 0; i < left; i++) {
      const factor = column[i] / pivot
      if (factor === 0) continue
      rest[i] -= moved * column[i]
      const row = i * size
      for (let j = 0; j <= i; j++) inverse[row + j] -= factor * column[j]
    }
    // The last slot takes the place of the removed one.
    const last = --left
    if (slot === last) return
    for (let i = 0; i < last; i++) if (i !== slot) inverse[at(i, slot)] = inverse[last * size + i]
    inverse[slot * size + slot] = inverse[last * size + last]
    places[slot] = places[last]
    rest[slot] = rest[last]
  }

  return {
    get left() {
      return left
    },
    next(allowed) {
      const found = cheapest(allowed)
      if (!found) return undefined
      const removal = { place: places[found.slot], loss: found.loss }
      eliminate(found.slot)
      return removal
    },
    weights() {
      const result = new Float64Array(size)
      for (let s = 0; s < left; s++) result[places[s]] = rest[s]
      return result
    },
  }
}
