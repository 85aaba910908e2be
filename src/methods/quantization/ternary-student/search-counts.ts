/** How many positive and how many negative weights a neuron keeps: a search over pairs of counts. */

/** A pair of counts and what it is worth. */
export interface Counts {
  readonly plus: number
  readonly minus: number
  /** Larger is better. */
  readonly score: number
}

/** Pairs that are looked at where all of them are asked for; of more than that one in so many, and those around the best. */
const MOST_PAIRS = 2 ** 12

/**
 * Looks for the best pair as the authors' program does: by thirds in the number of positive weights, for each of these
 * by thirds in that of negative ones, then at all pairs around the one found, and, where its score is less than
 * `enough`, at all pairs there are. Scores are no hills: the thirds may miss the best. Between pairs of the same score
 * the one with fewer weights is taken, and none at all where that is as good.
 * @param most the largest counts.
 * @returns the best of the pairs that were looked at, and how many these were.
 */
export function searchCounts(
  most: { readonly plus: number; readonly minus: number },
  score: (plus: number, minus: number) => number,
  enough: number,
): Counts & { readonly tried: number } {
  const known = new Map<number, number>()
  let best: Counts = { plus: 0, minus: 0, score: score(0, 0) }
  const at = (plus: number, minus: number): number => {
    const key = plus * (most.minus + 1) + minus
    let value = known.get(key)
    if (value === undefined) {
      value = score(plus, minus)
      known.set(key, value)
      if (better({ plus, minus, score: value }, best)) best = { plus, minus, score: value }
    }
    return value
  }
  byThirds(most.plus, (plus) => byThirds(most.minus, (minus) => at(plus, minus)))
  const around = (dPlus: number, dMinus: number) => {
    const { plus, minus } = best
    for (let p = Math.max(0, plus - dPlus); p <= Math.min(most.plus, plus + dPlus); p++)
      for (let m = Math.max(0, minus - dMinus); m <= Math.min(most.minus, minus + dMinus); m++) at(p, m)
  }
  around(Math.ceil(Math.log(most.plus + 1)), Math.ceil(Math.log(most.minus + 1)))
  if (best.score < enough) {
    const step = Math.ceil(Math.sqrt(((most.plus + 1) * (most.minus + 1)) / MOST_PAIRS))
    for (let p = 0; p <= most.plus; p += step) for (let m = 0; m <= most.minus; m += step) at(p, m)
    if (step > 1) around(step, step)
  }
  return { ...best, tried: known.size }
}

/** Scores that differ by rounding only are the same. */
function better(one: Counts, other: Counts): boolean {
  const near = 1e-9 * Math.max(1, Math.abs(other.score))
  if (Math.abs(one.score - other.score) > near) return one.score > other.score
  return one.plus + one.minus < other.plus + other.minus
}

/** The largest value that a search by thirds of 0 to `last` comes across. */
function byThirds(last: number, value: (at: number) => number): number {
  let [from, to, largest] = [0, last, -Infinity]
  const see = (at: number) => {
    const found = value(at)
    largest = Math.max(largest, found)
    return found
  }
  while (to - from > 2) {
    const third = Math.floor((to - from) / 3)
    if (see(from + third) >= see(to - third)) to -= third + 1
    else from += third + 1
  }
  for (let at = from; at <= to; at++) see(at)
  return largest
}
