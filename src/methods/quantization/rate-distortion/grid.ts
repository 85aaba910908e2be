/** The values that the codes of a row stand for: ascending with the code, 0 or the value nearest to it at code 0. */
export interface Grid {
  /** The smallest code, at most 0. */
  readonly low: number
  /** The largest code, at least 0. */
  readonly high: number
  value(code: number): number
  /** The code whose value is nearest. */
  nearest(value: number): number
}

/** Codes are stored in at most 16 bits. */
export const LARGEST_CODE = 32767

/** All multiples of a step. */
export function uniformGrid(step: number): Grid {
  return {
    low: -LARGEST_CODE,
    high: LARGEST_CODE,
    value: (code) => code * step,
    nearest: (value) => Math.max(-LARGEST_CODE, Math.min(LARGEST_CODE, Math.round(value / step))),
  }
}

/** Any values, ascending, at least one. Codes are their ranks, counted from that of the value nearest to 0. */
export function levelGrid(levels: ArrayLike<number>): Grid {
  let zero = 0
  for (let i = 1; i < levels.length; i++) if (Math.abs(levels[i]) < Math.abs(levels[zero])) zero = i
  return {
    low: -zero,
    high: levels.length - 1 - zero,
    value: (code) => levels[code + zero],
    nearest(value) {
      let low = 0
      let high = levels.length - 1
      while (low < high) {
        const middle = (low + high) >>> 1
        if (value > (levels[middle] + levels[middle + 1]) / 2) low = middle + 1
        else high = middle
      }
      return low - zero
    },
  }
}
