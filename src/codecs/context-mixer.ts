import type { BinaryCoder } from './binary-coder.ts'
import { LOGIT_LIMIT, SQUASH_SCALE, squashTable, STRETCH_SIZE, stretchTable } from './logistic.ts'

/** Settings of a `ContextMixer`. */
export interface MixerSettings {
  /** How many contexts vote on each decision. */
  readonly inputs: number
  /** How many logits besides those of contexts the caller hands in for each decision; default 0. */
  readonly extras?: number
  /** log2 of the counters that each context has. */
  readonly slotBits: number
  /** Sets of weights, one of which the caller picks for each decision. */
  readonly weightSets: number
  /** A counter's adaptation slows down to one over this; at most 255. */
  readonly slowest: number
  /** The step of the weights in the long run. */
  readonly rate: number
  /** The step of a set's weights at first, which falls like 1 / (1 + decisions / 60); default `rate`. */
  readonly firstRate?: number
  /** What every input's vote counts at first; default 0.2. */
  readonly firstWeight?: number
  /** A counter votes with n / (n + caution) of its logit after n decisions: unknown contexts keep silent. */
  readonly caution: number
}

// Under names of this module: reading another module's in the innermost loop is slow where modules are transformed.
const stretch = stretchTable
const squash = squashTable
const size = STRETCH_SIZE
const scale = SQUASH_SCALE
const limit = LOGIT_LIMIT

/** Decisions after which a falling rate has halved. */
const HALVING = 60

/** 1 / (n + 1.5): a counter's first steps are those of an average. */
const steps = Float64Array.from({ length: 256 }, (_, n) => 1 / (n + 1.5))

/**
 * Predicts binary decisions by mixing: every context has a counter, an adaptive probability; their logits are summed
 * with weights that learn by gradient descent on the code length. After Mahoney, "Adaptive Weighing of Context Models
 * for Lossless Data Compression" (2005). Only additions, multiplications and divisions of IEEE numbers, and tables.
 */
export class ContextMixer {
  /** The caller sets, for each input, the hash of its context; only the upper `slotBits` bits count. */
  readonly contexts: Int32Array
  /** For bit trees: what each input knows besides the bits above, for `enter`. */
  readonly bases: Int32Array
  /** Logits of the caller's own, in units of its choice. */
  readonly extras: Float64Array
  private readonly probabilities: Float32Array
  private readonly counts: Uint8Array
  private readonly weights: Float64Array
  private readonly decisions: Float64Array
  private readonly logits: Float64Array
  private readonly slots: Int32Array
  private readonly confidence: Float64Array
  private readonly settings: Required<MixerSettings>

  constructor(settings: MixerSettings) {
    const { inputs, slotBits, weightSets, extras = 0, firstWeight = 0.2, firstRate = settings.rate } = settings
    this.settings = { ...settings, extras, firstWeight, firstRate }
    this.confidence = Float64Array.from({ length: 256 }, (_, n) => n / (n + settings.caution))
    this.contexts = new Int32Array(inputs)
    this.bases = new Int32Array(inputs)
    this.extras = new Float64Array(extras)
    this.probabilities = new Float32Array(inputs << slotBits).fill(0.5)
    this.counts = new Uint8Array(inputs << slotBits)
    this.weights = new Float64Array((inputs + extras) * weightSets).fill(firstWeight)
    this.decisions = new Float64Array(weightSets)
    this.logits = new Float64Array(inputs + extras)
    this.slots = new Int32Array(inputs)
  }

  /** A mixer that has learnt the same. */
  copy(): ContextMixer {
    const copy = new ContextMixer(this.settings)
    copy.probabilities.set(this.probabilities)
    copy.counts.set(this.counts)
    copy.weights.set(this.weights)
    copy.decisions.set(this.decisions)
    return copy
  }

  /** Sets the contexts of a node of a bit tree: each is the node and the input's base. */
  enter(node: number): void {
    const { contexts, bases } = this
    for (let k = 0; k < contexts.length; k++) contexts[k] = hashContext(node, bases[k])
  }

  /** Codes one decision and learns from it. */
  code(coder: BinaryCoder, weightSet: number, bit: number): number {
    const { inputs, slotBits, slowest } = this.settings
    const { contexts, extras, probabilities, counts, weights, logits, slots, confidence } = this
    const base = weightSet * logits.length
    let dot = 0
    for (let k = 0; k < inputs; k++) {
      const slot = (k << slotBits) + (contexts[k] >>> (32 - slotBits))
      slots[k] = slot
      const logit = stretch[(probabilities[slot] * size) | 0] * confidence[counts[slot]]
      logits[k] = logit
      dot += weights[base + k] * logit
    }
    for (let k = 0; k < extras.length; k++) {
      logits[inputs + k] = extras[k]
      dot += weights[base + inputs + k] * extras[k]
    }
    if (dot > limit - 0.01) dot = limit - 0.01
    else if (dot < 0.01 - limit) dot = 0.01 - limit
    const one = squash[((dot + limit) * scale) | 0]
    const coded = coder.code(one, bit)
    const error = (coded - one / 65536) * this.rateOf(weightSet)
    for (let k = 0; k < logits.length; k++) weights[base + k] += error * logits[k]
    for (let k = 0; k < inputs; k++) {
      const slot = slots[k]
      const count = counts[slot]
      // Not quite 1, so that rounding to 32 bits never leaves the table.
      probabilities[slot] += ((coded === 1 ? 0.99999 : 0) - probabilities[slot]) * steps[count]
      if (count < slowest) counts[slot] = count + 1
    }
    return coded
  }

  private rateOf(weightSet: number): number {
    const { rate, firstRate } = this.settings
    if (firstRate === rate) return rate
    const falling = (firstRate * HALVING) / (HALVING + this.decisions[weightSet]++)
    return falling > rate ? falling : rate
  }
}

/** Spreads a context over 32 bits; what tells contexts apart ends up in the upper bits. */
export function hashContext(a: number, b: number): number {
  let hash = Math.imul(a + 0x3c6ef372, 0x9e3779b1) ^ Math.imul(b + 0x1b873593, 0x85ebca6b)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0x2c1b3c6d)
  hash ^= hash >>> 13
  return Math.imul(hash, 0x297a2d39)
}
