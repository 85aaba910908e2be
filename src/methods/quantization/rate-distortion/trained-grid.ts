import { learnRate, type RateModel } from '../../../codecs/rate.ts'
import { chooseCodes, type ChosenCodes, type CodeChoice } from './choose-codes.ts'
import { levelGrid, type Grid } from './grid.ts'

/** What a grid is trained for. */
export interface GridTask extends Omit<CodeChoice, 'grid' | 'rate' | 'onChoice'> {
  /** The shape of the weight. */
  readonly shape: readonly number[]
  /** The most values that weights may take. */
  readonly count: number
  /** Bits that each of them costs. */
  readonly valueBits: number
  /** Values as they will be stored. */
  stored(values: Float32Array): Float32Array
  /** The model of the codes' rates; default: learnt from the codes, again and again. */
  readonly rateOf?: (codes: Int16Array) => RateModel
}

/** The best of the rounds; its bits are those of the codes and of the codebook. */
export interface TrainedGrid extends ChosenCodes {
  /** Ascending; each is taken by a weight. */
  readonly codebook: Float32Array
  /** The place in the codebook of each weight. */
  readonly places: Uint16Array
}

const ROUNDS = 12
/** Rounds end when the cost falls by less than this share of it. */
const CALM = 1e-3

/**
 * Trains the values that weights share, by turns with the choice among them: each value becomes the mean of the weights
 * that took it, weighted as their errors are; what nobody took disappears, and what is not worth its place in the codebook;
 * while there are too many, those that cost least to be without do.
 * A value of exactly zero stays that where half of the weights take it, or where so many were zero before that a pruned
 * layer would lose its zeros. This is Lloyd's algorithm with rates: Chou, Lookabaugh, Gray: Entropy-Constrained Vector
 * Quantization (1989), section III, in one dimension; Choi, El-Khamy, Lee: Towards the Limit of Network Quantization
 * (2017), section 4, has it with the Hessian's diagonal as weights. Overwrites the codes of `task`.
 * @param start the grid of the codes of `task`, whose values are the first.
 */
export function trainGrid(task: GridTask, start: Grid): TrainedGrid {
  const { codes, lambda, bias, shape, count, rateOf = (known) => learnRate(known, shape) } = task
  const keepsZero = zerosPay(task)
  let grid = start
  let levels: Float32Array = Float32Array.from(new Set(keepsZero ? [0, ...codes] : codes), (code) =>
    start.value(code),
  ).sort()
  let best: (TrainedGrid & { readonly cost: number; readonly biasCodes?: Int16Array }) | undefined
  let before = Infinity
  for (let round = 0; round < ROUNDS;) {
    levels = task.stored(levels)
    const next = levelGrid(levels)
    for (let i = 0; i < codes.length; i++) codes[i] = next.nearest(grid.value(codes[i]))
    grid = next
    const rate = rateOf(codes)
    const tally = createTally(grid, rate, lambda)
    const { distortion, bits } = chooseCodes({ ...task, rate, grid: () => next, onChoice: tally.add })
    const taken = tally.members.filter((one) => one.count > 0).length
    const total = bits + taken * task.valueBits
    const cost = distortion + lambda * total
    if (taken <= count) {
      if (!best || cost < best.cost)
        best = { distortion, bits: total, cost, ...compacted(codes, levels, grid.low), biasCodes: bias?.codes.slice() }
      if (before - cost < CALM * cost) break
      before = cost
      round++
    }
    const dropped = withoutWorth(
      tally.members,
      taken - count,
      lambda * task.valueBits,
      keepsZero ? -grid.low : undefined,
    )
    levels = movedLevels(levels, tally.members, dropped, keepsZero)
  }
  const { biasCodes, codebook, places, distortion, bits } = best!
  if (bias && biasCodes) bias.codes.set(biasCodes)
  return { codebook, places, distortion, bits }
}

function zerosPay({ weights, codes, count }: GridTask): boolean {
  const zeros = weights.reduce((sum, value) => sum + (value === 0 ? 1 : 0), 0)
  if (zeros > 0 && zeros * count >= weights.length) return true
  return 2 * codes.reduce((sum, code) => sum + (code === 0 ? 1 : 0), 0) >= codes.length
}

/** The weights that took a value. */
interface Members {
  count: number
  weight: number
  /** The sum of what they should have been, weighted. */
  sum: number
  /** What it would cost were the value not there. */
  loss: number
}

function createTally(grid: Grid, rate: RateModel, lambda: number) {
  const members: Members[] = Array.from({ length: grid.high - grid.low + 1 }, () => ({
    count: 0,
    weight: 0,
    sum: 0,
    loss: 0,
  }))
  const add = (code: number, target: number, weight: number, context: number) => {
    const own = members[code - grid.low]
    const cost = (other: number) => weight * (grid.value(other) - target) ** 2 + lambda * rate.bits(context, other)
    own.count++
    own.weight += weight
    own.sum += weight * target
    const others = [code - 1, code + 1].filter((other) => other >= grid.low && other <= grid.high)
    own.loss += Math.min(...others.map(cost)) - cost(code)
  }
  return { members, add }
}

/**
 * The values that go: what nobody took; what costs less to be without than `price`, an entry of the codebook; and
 * up to `excess` more, those first that cost least, a few at a time. Of two neighbours one stays, since weights move to it.
 */
function withoutWorth(members: readonly Members[], excess: number, price: number, zero?: number): ReadonlySet<number> {
  const dropped = new Set([...members.keys()].filter((i) => i !== zero && members[i].count === 0))
  const taken = [...members.keys()].filter((i) => members[i].count > 0)
  const around = new Map(taken.map((i, at) => [i, [taken[at - 1], taken[at + 1]]]))
  let left = Math.min(excess, Math.max(1, taken.length >> 3))
  for (const i of taken.filter((one) => one !== zero).sort((a, b) => members[a].loss - members[b].loss)) {
    if (left <= 0 && members[i].loss >= price) break
    if (around.get(i)!.some((other) => dropped.has(other))) continue
    dropped.add(i)
    left--
  }
  return dropped
}

/** The values that stay, each at the mean of its members; a zero that is kept, at zero. */
function movedLevels(
  levels: Float32Array,
  members: readonly Members[],
  dropped: ReadonlySet<number>,
  keepsZero: boolean,
): Float32Array {
  const moved = members.map(({ weight, sum }, i) =>
    weight === 0 || (keepsZero && levels[i] === 0) ? levels[i] : sum / weight,
  )
  return Float32Array.from(moved.filter((_, i) => !dropped.has(i))).sort()
}

/** The values that were taken, and places among them. */
function compacted(codes: Int16Array, levels: Float32Array, low: number): Pick<TrainedGrid, 'codebook' | 'places'> {
  const taken = [...new Set(codes)].sort((a, b) => a - b)
  const place = new Map(taken.map((code, i) => [code, i]))
  return {
    codebook: Float32Array.from(taken, (code) => levels[code - low]),
    places: Uint16Array.from(codes, (code) => place.get(code)!),
  }
}
