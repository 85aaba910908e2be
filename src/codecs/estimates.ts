/** Decisions after which the slow estimate is an average no longer: it goes on in steps of one to this many. */
const SLOWEST = 250
/** 16,384ths that the quick estimate moves at least. */
const QUICKEST = 16384 >> 5
/** The least probability of a decision, in 65,536ths. */
const LEAST = 32

/** 16,384 / (n + 1.5): the first steps of both estimates are those of an average. */
const steps = Int32Array.from({ length: SLOWEST + 1 }, (_, n) => Math.floor(16384 / (n + 1.5)))

/** Adaptive probabilities of decisions, one a context: each is the mean of a quick and a slow estimate. */
export class Estimates {
  private readonly quick: Uint16Array
  private readonly slow: Uint16Array
  private readonly seen: Uint8Array

  constructor(contexts: number) {
    this.quick = new Uint16Array(contexts).fill(32768)
    this.slow = new Uint16Array(contexts).fill(32768)
    this.seen = new Uint8Array(contexts)
  }

  /** The probability of 1 in 65,536ths, from 32 to 65,504. */
  one(context: number): number {
    const one = (this.quick[context] + this.slow[context]) >>> 1
    return one < LEAST ? LEAST : one > 65536 - LEAST ? 65536 - LEAST : one
  }

  learn(context: number, bit: number): void {
    const { quick, slow, seen } = this
    const step = steps[seen[context]]
    const target = bit === 1 ? 65535 : 0
    quick[context] += ((target - quick[context]) * (step < QUICKEST ? QUICKEST : step)) >> 14
    slow[context] += ((target - slow[context]) * step) >> 14
    if (seen[context] < SLOWEST) seen[context]++
  }
}
