import type { BinaryCoder } from './binary-coder.ts'
import { bitsFor } from './bit-io.ts'
import { ContextMixer, hashContext } from './context-mixer.ts'
import { nextState, quantizerOf } from './dependent.ts'
import { logClass, TensorStatistics } from './tensor-statistics.ts'
import { ValuePredictor, type Grid } from './value-predictor.ts'

/** Numbers of a tensor, with what both sides know of them. */
export interface NumberTensor {
  /** Filled when decoding; every number is within `low` and `high`. */
  readonly numbers: Int32Array
  readonly shape?: readonly number[]
  /** The smallest number, at most 0. */
  readonly low: number
  /** The largest number, at least 0. */
  readonly high: number
  /** Whether the numbers are codes of dependent quantization, see `dependent.ts`: then the quantizer is a context. */
  readonly dependent?: boolean
}

/** The most numbers that one model takes: it needs some thirty bytes for each. */
export const MOST_NUMBERS = 2 ** 22

/** A tensor that was coded, as the next ones look back at it. */
interface Earlier {
  readonly grid: Grid
  readonly isMatrix: boolean
  readonly statistics: TensorStatistics
}

/** The side of the smallest image that a row is taken for. */
const SMALLEST_IMAGE = 8

/** Tensors that are looked back at. */
const LOOK_BACK = 16

const ZERO_INPUTS = 14
const SIGN_INPUTS = 13
const SIZE_INPUTS = 13
/** How strongly predictions, in standard deviations, count as logits at first. */
const SIGN_SCALE = 3
const SIZE_SETS = 48
/** Turns the contexts of the second quantizer into others. */
const SECOND = 0x5bd1e995

/**
 * A model of the numbers of several tensors, one after another: each number is a flag, whether it is 0; its sign; and
 * its size, as the number of its bits (unary) and the bits below the leading one. All of these are mixed from contexts:
 * rows, columns, channels, places in the kernel and neighbours, how dense and how large they have been so far, and the
 * values that `ValuePredictor` expects. What it learns goes on from tensor to tensor.
 */
export class NumberModel {
  private readonly coder: BinaryCoder
  private readonly zeros: ContextMixer
  private readonly signs: ContextMixer
  private readonly sizes: ContextMixer
  private readonly earlier: Earlier[] = []
  private tensors = 0

  /** @param count How many numbers there are in all, at most `MOST_NUMBERS`. */
  constructor(coder: BinaryCoder, count: number) {
    this.coder = coder
    const slots = (most: number) => Math.min(most, Math.max(10, bitsFor(count) + 2))
    const learning = { slowest: 250, rate: 0.002, firstRate: 0.03, firstWeight: 0.13, caution: 1 }
    this.zeros = new ContextMixer({ ...learning, inputs: ZERO_INPUTS, slotBits: slots(16), weightSets: 2 })
    this.signs = new ContextMixer({ ...learning, inputs: SIGN_INPUTS, extras: 4, slotBits: slots(16), weightSets: 1 })
    this.sizes = new ContextMixer({ ...learning, inputs: SIZE_INPUTS, slotBits: slots(17), weightSets: 2 * SIZE_SETS })
  }

  /** Codes all numbers of a tensor; when decoding, fills them in. */
  code({ numbers, shape, low, high, dependent = false }: NumberTensor): void {
    const count = numbers.length
    const isMatrix = shape !== undefined && shape.length > 1
    const grid = this.gridOf(shape, count)
    const { filter, window, row } = grid
    const channels = filter / window
    const source = this.earlier.findLast((one) => one.isMatrix && one.grid.out === (isMatrix ? channels : count))
    const statistics = new TensorStatistics(grid)
    const predictor = new ValuePredictor(grid)
    const { predictions } = predictor
    const { zeros, signs, sizes, coder } = this
    const tensor = ++this.tensors * 4096
    let last = 0
    let beforeLast = 0
    let state = 0
    const at = (i: number, distance: number): number => (i >= distance ? numbers[i - distance] : 0)
    for (let i = 0; i < count; i++) {
      const quantizer = dependent ? quantizerOf(state) : 0
      const out = (i / filter) | 0
      const column = i - out * filter
      const channel = (column / window) | 0
      const place = column - channel * window
      const left = at(i, 1)
      const left2 = at(i, 2)
      const up = row > 1 ? at(i, row) : 0
      const behind = window > 1 ? at(i, window) : at(i, 3)
      const behind2 = window > 1 ? at(i, 2 * window) : at(i, 4)
      const before = at(i, filter)
      const before2 = at(i, 2 * filter)
      statistics.enter(i, out, column, channel, place)
      predictor.predict(i, column)
      const { deviation } = predictor
      const byRows = expectation(predictions[0], deviation)
      const byChannels = expectation(predictions[1], deviation)
      const byNeighbours = expectation(predictions[2], deviation)
      const expected = expectation(predictions[3], deviation)
      const { density } = statistics
      const densityClass = logClass(density, 0)

      const flag = zeros.contexts
      const nonzero =
        (left !== 0 ? 1 : 0) |
        (left2 !== 0 ? 2 : 0) |
        (up !== 0 ? 4 : 0) |
        (behind !== 0 ? 8 : 0) |
        (behind2 !== 0 ? 16 : 0) |
        (before !== 0 ? 32 : 0) |
        (before2 !== 0 ? 64 : 0)
      const crossing = statistics.rowDensity * (statistics.columnDensity / density)
      flag[0] = hashContext(tensor, 0)
      flag[1] = hashContext(tensor + out, 1)
      flag[2] = hashContext(tensor * 7 + column, 2)
      flag[3] = hashContext(tensor * 7 + channel, 3)
      flag[4] = hashContext(tensor + place, 4)
      flag[5] = hashContext(nonzero, 5)
      const inherited = source ? source.statistics.rowShare(isMatrix ? channel : i) : 1
      flag[6] = hashContext(logClass(inherited, 1) + densityClass * 512, 6)
      flag[7] = hashContext(capped(left) | (capped(before) << 4) | (capped(behind) << 8), 7)
      flag[8] = hashContext((expected >> 1) + densityClass * 64, 8)
      flag[9] = hashContext((byRows >> 1) + logClass(crossing, 1) * 64, 9)
      flag[10] = hashContext((byChannels >> 1) + (byNeighbours >> 1) * 64 + densityClass * 4096, 10)
      flag[11] = hashContext((nonzero & 0x39) | (place << 8), 11)
      flag[12] = hashContext((statistics.recent >> 12) | ((statistics.steady >> 12) << 5), 12)
      flag[13] = hashContext(logClass(statistics.channelDensity * (statistics.placeDensity / density), 1), 13)
      if (quantizer === 1) for (let k = 0; k < ZERO_INPUTS; k++) flag[k] ^= SECOND
      const number = numbers[i]
      if (zeros.code(coder, quantizer, number === 0 ? 1 : 0) === 1) {
        numbers[i] = 0
        statistics.leave(0)
        predictor.update(i, column, 0)
        state = nextState(state, 0)
        continue
      }

      let isNegative = low < 0 ? 1 : 0
      if (low < 0 && high > 0) {
        const sign = signs.contexts
        sign[0] = hashContext(tensor, 20)
        sign[1] = hashContext(signOf(left) + 3 * signOf(before) + 9 * signOf(up) + 27 * signOf(behind), 21)
        sign[2] = hashContext(tensor + out, 22)
        sign[3] = hashContext(tensor * 7 + column, 23)
        sign[4] = hashContext(tensor * 7 + channel, 24)
        sign[5] = hashContext(tensor + place, 25)
        sign[6] = hashContext(signOf(last) + 3 * signOf(beforeLast) + tensor * 16, 26)
        sign[7] = hashContext(signOf(left) + 3 * signOf(before) + (place << 4) + tensor * 1024, 27)
        sign[8] = hashContext(
          signOf(behind) + 3 * signOf(behind2) + 9 * signOf(before) + 27 * signOf(before2) + tensor * 16,
          28,
        )
        sign[9] = hashContext(expected, 29)
        sign[10] = hashContext(byRows, 30)
        sign[11] = hashContext(byChannels, 31)
        sign[12] = hashContext(byNeighbours, 32)
        for (let k = 0; k < 4; k++) signs.extras[k] = (-SIGN_SCALE * predictions[k]) / deviation
        isNegative = signs.code(coder, 0, number < 0 ? 1 : 0)
      }

      const size = sizes.bases
      const turned = (expectedAs: number) => (isNegative === 1 ? expectedAs ^ 1 : expectedAs)
      const mean = statistics.meanSize
      const meanClass = logClass(mean, 1)
      const crossingSize = statistics.rowSize * (statistics.columnSize / mean)
      size[0] = hashContext(tensor + isNegative, 40)
      size[1] = hashContext(logClass(crossingSize, 1), 41)
      size[2] = hashContext(tensor + out + isNegative * 999, 42)
      size[3] = hashContext(tensor * 7 + channel, 43)
      size[4] = hashContext(tensor + place, 44)
      size[5] = hashContext(logClass(nearby(left, before, up, behind, left2), 1) + meanClass * 512, 45)
      size[6] = hashContext(
        logClass((statistics.rowSize * statistics.channelSize * statistics.placeSize) / (mean * mean), 1),
        46,
      )
      size[7] = hashContext(logClass(Math.abs(last), 1) + logClass(Math.abs(beforeLast), 1) * 512 + tensor * 512, 47)
      size[8] = hashContext(
        (logClass(statistics.rowDensity, 1) + logClass(statistics.columnDensity, 1) * 512) * 2 + isNegative,
        48,
      )
      size[9] = hashContext(turned(expected) + meanClass * 128, 49)
      size[10] = hashContext(turned(byRows) + logClass(crossingSize, 1) * 128, 50)
      size[11] = hashContext(turned(byChannels) + tensor * 128, 51)
      size[12] = hashContext(turned(byNeighbours) + tensor * 128, 52)
      if (quantizer === 1) for (let k = 0; k < SIZE_INPUTS; k++) size[k] ^= SECOND
      const coded = this.codeSize(Math.abs(number), isNegative === 1 ? -low : high, quantizer * SIZE_SETS)
      numbers[i] = isNegative === 1 ? -coded : coded
      statistics.leave(coded)
      // What the second quantizer's codes stand for is half a code nearer to 0.
      predictor.update(i, column, numbers[i] - 0.5 * quantizer * Math.sign(numbers[i]))
      state = nextState(state, numbers[i])
      beforeLast = last
      last = numbers[i]
    }
    this.earlier.push({ grid, isMatrix, statistics })
    if (this.earlier.length > LOOK_BACK) this.earlier.shift()
  }

  /** A size from 1 to `most`: the number of its bits, unary; then the bits below the leading one. */
  private codeSize(size: number, most: number, sets: number): number {
    const { sizes, coder } = this
    const longest = 31 - Math.clz32(most)
    const bits = 31 - Math.clz32(size)
    let length = 0
    for (; length < longest; length++) {
      sizes.enter(length + 2)
      if (sizes.code(coder, sets + length, bits > length ? 1 : 0) === 0) break
    }
    let coded = 1
    for (let level = length - 1; level >= 0; level--) {
      // What would exceed the largest is not asked.
      if ((coded * 2 + 1) * 2 ** level > most) coded *= 2
      else {
        sizes.enter((length << 18) + coded)
        const set = 17 + Math.min(6, length - 1 - level) * 4 + Math.min(3, level)
        coded = coded * 2 + sizes.code(coder, sets + set, (size >> level) & 1)
      }
    }
    return coded
  }

  /**
   * Rows and windows of a shape. A matrix behind a convolution is taken as flattened where its size allows: what an
   * input channel has of a row is then a window. The first matrix of all may read an image, of up to three channels.
   */
  private gridOf(shape: readonly number[] | undefined, count: number): Grid {
    if (shape === undefined || shape.length < 2) return { count, out: 1, filter: count, window: 1, plane: 1, row: 1 }
    const out = shape[0]
    const filter = count / out
    if (shape.length > 2) {
      const window = filter / shape[1]
      return { count, out, filter, window, plane: window, row: shape[shape.length - 1] }
    }
    const before = this.earlier.findLast(({ grid }) => {
      const window = filter / grid.out
      return grid.window > 1 && Number.isInteger(window) && window > 1 && window <= 64
    })
    if (before) {
      const window = filter / before.grid.out
      return { count, out, filter, window, plane: window, row: sideOf(window) ?? 1 }
    }
    for (let channels = 1; channels <= 3 && !this.earlier.some(({ isMatrix }) => isMatrix); channels++) {
      const row = sideOf(filter / channels)
      if (row !== undefined && row >= SMALLEST_IMAGE)
        return { count, out, filter, window: 1, plane: filter / channels, row }
    }
    return { count, out, filter, window: 1, plane: 1, row: 1 }
  }
}

/** The side of a square of this many values, if there is one. */
function sideOf(values: number): number | undefined {
  for (let side = 2; side * side <= values; side++) if (side * side === values) return side
  return undefined
}

/** A predicted value as a class of its size, doubled, and 1 where it is negative. */
function expectation(prediction: number, deviation: number): number {
  const size = (prediction < 0 ? -prediction : prediction) / deviation
  return ((logClass(1 + 8 * size, 2) - LOG_OF_ONE) << 1) | (prediction < 0 ? 1 : 0)
}

const LOG_OF_ONE = logClass(1, 2)

function capped(value: number): number {
  const size = value < 0 ? -value : value
  return size > 15 ? 15 : size
}

function signOf(value: number): number {
  return value === 0 ? 0 : value > 0 ? 1 : 2
}

/** The mean size of the neighbours that are not 0. */
function nearby(left: number, before: number, up: number, behind: number, left2: number): number {
  const near = Math.abs(left) + Math.abs(before) + Math.abs(up) + Math.abs(behind) + Math.abs(left2) * 0.5
  const weight =
    (left !== 0 ? 1 : 0) +
    (before !== 0 ? 1 : 0) +
    (up !== 0 ? 1 : 0) +
    (behind !== 0 ? 1 : 0) +
    (left2 !== 0 ? 0.5 : 0)
  return weight === 0 ? 0 : near / weight
}
