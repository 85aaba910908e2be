import type { Grid } from './value-predictor.ts'

/** How many numbers' worth the density of the whole tensor counts in those of a row, column, channel or place. */
const DENSITY_PRIOR = 6
/** The same for sizes. */
const SIZE_PRIOR = 2

/**
 * How dense and how large the numbers of a tensor have been so far: in all, in the row, the column, the channel and the
 * place of the kernel. `enter` sets the estimates for a position, `leave` learns what stood there.
 */
export class TensorStatistics {
  /** Estimates of the share of numbers other than 0. */
  density = 0.4
  rowDensity = 0
  columnDensity = 0
  channelDensity = 0
  placeDensity = 0
  /** Shares of numbers other than 0 among the last 16 or so, and 128 or so, in 65,536ths. */
  recent = 19661
  steady = 19661
  private readonly grid: Grid
  private readonly columns: number
  private readonly rowCounts: Uint32Array
  private readonly columnCounts: Uint32Array
  private readonly columnSums: Float32Array
  private readonly channelCounts: Uint32Array
  private readonly channelSums: Float32Array
  private readonly placeCounts: Uint32Array
  private readonly placeSums: Float64Array
  private count = 0
  private sum = 0
  private rowSum = 0
  private out = 0
  private column = 0
  private channel = 0
  private place = 0

  constructor(grid: Grid) {
    this.grid = grid
    const { filter, window, out } = grid
    // In a single row no column comes twice.
    this.columns = out > 1 ? filter : 1
    const channels = out > 1 ? filter / window : 1
    this.rowCounts = new Uint32Array(out)
    this.columnCounts = new Uint32Array(this.columns)
    this.columnSums = new Float32Array(this.columns)
    this.channelCounts = new Uint32Array(channels)
    this.channelSums = new Float32Array(channels)
    this.placeCounts = new Uint32Array(window)
    this.placeSums = new Float64Array(window)
  }

  enter(i: number, out: number, column: number, channel: number, place: number): void {
    const { window, filter } = this.grid
    if (column === 0) this.rowSum = 0
    const isSingle = this.columns === 1
    this.out = out
    this.column = isSingle ? 0 : column
    this.channel = isSingle ? 0 : channel
    this.place = place
    const density = (this.count + 0.4) / (i + 1)
    const prior = DENSITY_PRIOR * density
    this.density = density
    this.rowDensity = (this.rowCounts[out] + prior) / (column + DENSITY_PRIOR)
    this.columnDensity = ((isSingle ? 0 : this.columnCounts[column]) + prior) / (out + DENSITY_PRIOR)
    this.channelDensity =
      ((isSingle ? 0 : this.channelCounts[channel]) + prior) / (out * window + place + DENSITY_PRIOR)
    this.placeDensity = (this.placeCounts[place] + prior) / (out * (filter / window) + channel + DENSITY_PRIOR)
  }

  /** Mean sizes of the numbers other than 0. */
  get meanSize(): number {
    return (this.sum + 1) / (this.count + 1)
  }

  get rowSize(): number {
    return this.sizeOf(this.rowSum, this.rowCounts[this.out])
  }

  get columnSize(): number {
    return this.sizeOf(this.columnSums[this.column], this.columnCounts[this.column])
  }

  get channelSize(): number {
    return this.sizeOf(this.channelSums[this.channel], this.channelCounts[this.channel])
  }

  get placeSize(): number {
    return this.sizeOf(this.placeSums[this.place], this.placeCounts[this.place])
  }

  private sizeOf(sum: number, count: number): number {
    return (sum + SIZE_PRIOR * this.meanSize) / (count + SIZE_PRIOR)
  }

  /** Learns the size of the number at the position, 0 where it is 0. */
  leave(size: number): void {
    if (size === 0) {
      this.recent -= this.recent >> 4
      this.steady -= this.steady >> 7
      return
    }
    this.recent += (65535 - this.recent) >> 4
    this.steady += (65535 - this.steady) >> 7
    this.count++
    this.sum += size
    this.rowSum += size
    this.rowCounts[this.out]++
    this.columnCounts[this.column]++
    this.columnSums[this.column] += size
    this.channelCounts[this.channel]++
    this.channelSums[this.channel] += size
    this.placeCounts[this.place]++
    this.placeSums[this.place] += size
  }

  /** How many times denser a row is than the tensor: what the next layer sees of a neuron that is hardly used. */
  rowShare(row: number): number {
    const { filter, out } = this.grid
    return (((this.rowCounts[row] + 1) / (filter + 1)) * (filter * out + 1)) / (this.count + 1)
  }
}

const number = new Float32Array(1)
const bits = new Uint32Array(number.buffer)

/** The class of a number of at least 0 by its size, 2^`fine` classes an octave: the upper bits of its float32. */
export function logClass(value: number, fine: number): number {
  number[0] = value
  return bits[0] >>> (23 - fine)
}
