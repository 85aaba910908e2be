/** What a writer of packs has time to code with `predictive`. */
import { bitsFor } from './bit-io.ts'
import { MOST_NUMBERS } from './number-model.ts'

/** Binary decisions in one pack: some ten seconds of them. */
const MOST_DECISIONS = 1.6e7

/** Keeps account of the streams of one pack; of several, the one with the fewest decisions is to be asked for first. */
export interface PredictiveBudget {
  /** Whether so many symbols may still fit, were all of them 0. */
  mayFit(count: number): boolean
  /** Takes a stream into account, and says whether there is time for it. */
  fits(count: number, decisions: number): boolean
}

/** The budget of one pack. */
export function createPredictiveBudget(): PredictiveBudget {
  let numbers = 0
  let taken = 0
  return {
    mayFit: (count) => numbers + count <= MOST_NUMBERS && taken + count <= MOST_DECISIONS,
    fits(count, decisions) {
      numbers += count
      taken += decisions
      return numbers <= MOST_NUMBERS && taken <= MOST_DECISIONS
    },
  }
}

/** Binary decisions of a stream, about: whether a symbol is 0, and the bits of those that are not. */
export function decisionsOf(symbols: ArrayLike<number>, alphabet: number): number {
  let others = 0
  for (let i = 0; i < symbols.length; i++) if (symbols[i] !== 0) others++
  return symbols.length + others * bitsFor(alphabet)
}
