/**
 * What integer codes will cost under the pack's adaptive coders, for methods that choose codes by their rate. The
 * coders learn from rows, columns and neighbours; this model does the same in closed form: contexts, and one histogram
 * for each from codes that are already there. It never enters a stream, so it may be an approximation.
 */
import { neighbourhood } from './neighbours.ts'

/** Codes of a tensor, row-major: positive and negative, zero the most frequent. */
export type Codes = Int8Array | Int16Array | Int32Array

export interface RateModel {
  /** The context of a position, given the codes as they are at the moment. */
  context(codes: Codes, position: number): number
  /** Bits of a code in a context. @param quantizer that of dependent quantization, for which the model was learnt. */
  bits(context: number, code: number, quantizer?: number): number
}

/** Classes of the size that a code's row and column make expect. */
const SIZES = 14
/** Classes of its neighbours' sizes. */
const NEARBY = 4
const CONTEXTS = SIZES * NEARBY

/** Codes beyond this share one entry and cost the more, the larger they are. */
const LARGEST = 48
const ALPHABET = 2 * LARGEST + 1

/** How many codes' worth the histogram of all contexts counts in each single one. */
const PRIOR = 24

/**
 * Learns from codes what codes cost. Twice or three times in turn with the choice of the codes comes to rest.
 * @param shape [out, in, ...kernel]: the tensor that the codes fill.
 * @param quantizers 0 or 1 for each code: rates are learnt apart for each.
 */
export function learnRate(codes: Codes, shape: readonly number[], quantizers?: Uint8Array): RateModel {
  const { window, filter } = neighbourhood(shape, codes.length)
  const expected = expectedSizes(codes, filter)
  const borders = quantiles(expected, SIZES)
  const classes = Uint8Array.from(expected, (size) => classOf(borders, size))

  const context = (current: Codes, i: number): number => {
    const own = expected[i]
    const left = i >= 1 ? Math.abs(current[i - 1]) : own
    const behind = i >= window ? Math.abs(current[i - window]) : own
    const up = i >= filter ? Math.abs(current[i - filter]) : own
    const up2 = i >= 2 * filter ? Math.abs(current[i - 2 * filter]) : own
    const nearby = (window > 1 ? 2 * left + behind : 3 * left) + 2 * up + up2
    const class_ = nearby < 3 * own ? 0 : nearby < 6 * own ? 1 : nearby < 9 * own ? 2 : 3
    return classes[i] * NEARBY + class_
  }
  const costs = quantizers
    ? [0, 1].map((quantizer) => learnCosts(codes, context, (i) => quantizers[i] === quantizer))
    : [learnCosts(codes, context, () => true)]
  return {
    context,
    bits(at, code, quantizer = 0) {
      const own = costs[quantizers ? quantizer : 0]
      if (code < -LARGEST || code > LARGEST) {
        const beyond = Math.abs(code) - LARGEST
        return own[at * ALPHABET + (code < 0 ? 0 : ALPHABET - 1)] + 2 * Math.log2(1 + beyond)
      }
      return own[at * ALPHABET + code + LARGEST]
    },
  }
}

/** Bits of all codes under a model: an estimate of the stream's length. */
export function totalBits(model: RateModel, codes: Codes): number {
  let bits = 0
  for (let i = 0; i < codes.length; i++) bits += model.bits(model.context(codes, i), codes[i])
  return bits
}

/** The size that row and column make expect of each code: the product of their means over that of all. */
function expectedSizes(codes: Codes, filter: number): Float32Array {
  const rows = Math.ceil(codes.length / filter)
  const byRow = new Float64Array(rows)
  const byColumn = new Float64Array(filter)
  let sum = 0
  for (let i = 0; i < codes.length; i++) {
    const size = Math.abs(codes[i])
    byRow[(i / filter) | 0] += size
    byColumn[i % filter] += size
    sum += size
  }
  const mean = Math.max(1e-3, sum / Math.max(1, codes.length))
  // A mean over few codes is drawn towards the mean of all, as by eight more codes of that size.
  const share = (total: number, count: number) => (total + 8 * mean) / (count + 8) / mean
  const rowShare = byRow.map((total) => share(total, filter))
  const columnShare = byColumn.map((total) => share(total, rows))
  return Float32Array.from(codes, (_, i) => mean * rowShare[(i / filter) | 0] * columnShare[i % filter])
}

function quantiles(values: Float32Array, parts: number): Float32Array {
  const step = Math.max(1, Math.floor(values.length / 65536))
  const sorted = values.filter((_, i) => i % step === 0).sort()
  return Float32Array.from({ length: parts - 1 }, (_, q) => sorted[Math.floor(((q + 1) * sorted.length) / parts)] ?? 0)
}

function classOf(borders: Float32Array, value: number): number {
  let class_ = 0
  while (class_ < borders.length && value > borders[class_]) class_++
  return class_
}

function learnCosts(
  codes: Codes,
  context: (codes: Codes, i: number) => number,
  counted: (i: number) => boolean,
): Float64Array {
  const counts = new Float64Array(CONTEXTS * ALPHABET)
  const all = new Float64Array(ALPHABET)
  for (let i = 0; i < codes.length; i++) {
    if (!counted(i)) continue
    const entry = Math.max(-LARGEST, Math.min(LARGEST, codes[i])) + LARGEST
    counts[context(codes, i) * ALPHABET + entry]++
    all[entry]++
  }
  // What never occurred may be chosen: it costs as if it had occurred a little, the less the larger it is.
  for (let e = 0; e < ALPHABET; e++) all[e] += 0.5 / (1 + Math.abs(e - LARGEST)) ** 2
  const allSum = all.reduce((sum, count) => sum + count, 0)
  const costs = new Float64Array(counts.length)
  for (let at = 0; at < CONTEXTS; at++) {
    const own = counts.subarray(at * ALPHABET, (at + 1) * ALPHABET)
    const sum = own.reduce((total, count) => total + count, PRIOR)
    for (let e = 0; e < ALPHABET; e++) costs[at * ALPHABET + e] = -Math.log2((own[e] + (PRIOR * all[e]) / allSum) / sum)
  }
  return costs
}
