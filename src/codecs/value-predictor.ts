import { LeastSquares } from './least-squares.ts'

/** Where a value stands in a tensor `[out, in, ...kernel]` that is coded row by row. */
export interface Grid {
  readonly count: number
  /** Rows: filters, or outputs. */
  readonly out: number
  /** Values of a row. */
  readonly filter: number
  /** Values of a kernel window: what an input channel has of a row. */
  readonly window: number
  /** Values of a plane that has rows of its own: a window, or all of a row that is an image. */
  readonly plane: number
  /** Values of a plane's row; 1 where planes have none. */
  readonly row: number
}

/** Rows and channels beyond these are not looked at, so that the work a value takes has a bound. */
const MOST_ROWS = 1024
const MOST_CHANNELS = 1024
/** Neighbours that the local prediction looks at: six in the plane, four channels before, two rows before. */
const LOCAL = 12

/** The step of the weights of rows, of channels, and of the three predictions in the sum of them. */
const ROW_STEP = 0.2
const ROW_CALM = 60
const CHANNEL_STEP = 0.0015
const SUM_STEP = 0.002
/** Predictions stay within this many standard deviations. */
const RANGE = 4

/**
 * Predicts the values of a tensor by linear regressions that learn as they go, by least mean squares or least squares:
 * from what other rows have in the same column, the more a row has resembled this one so far; from what the channels
 * before have in this row, the more two channels have resembled each other in the rows before; and from neighbours in
 * the window. Weights of networks are close to matrices of low rank, and filters are smooth: both show here.
 */
export class ValuePredictor {
  /** The predictions: by rows, by channels, by neighbours, and their weighted sum. */
  readonly predictions = new Float64Array(4)
  /** The standard deviation of the values so far. */
  deviation = 1
  private readonly grid: Grid
  private readonly channels: number
  private readonly values: Float32Array
  /** For each column, the rows that are not 0 there, and their values. */
  private readonly columnRows: Uint16Array
  private readonly columnValues: Float32Array
  private readonly columnLengths: Uint16Array
  private readonly rowWeights: Float64Array
  /** For each place of the window, the channels that are not 0 in this row, and their values. */
  private readonly placeChannels: Uint16Array
  private readonly placeValues: Float32Array
  private readonly placeLengths: Uint16Array
  private readonly channelWeights: Float64Array | undefined
  private readonly local = new LeastSquares(LOCAL)
  private readonly sumWeights = Float64Array.of(1, 1, 1)
  private squares = 1
  private seen = 1
  private rowSquares = 0

  constructor(grid: Grid) {
    const { count, out, filter, window } = grid
    this.grid = grid
    this.channels = filter / window
    const rows = Math.min(out, MOST_ROWS)
    this.values = new Float32Array(count)
    this.columnRows = new Uint16Array(filter * rows)
    this.columnValues = new Float32Array(filter * rows)
    this.columnLengths = new Uint16Array(filter)
    this.rowWeights = new Float64Array(rows)
    const { channels } = this
    // Where rows are few, channels cannot be compared.
    const comparesChannels = out > 1 && channels > 1 && channels <= MOST_CHANNELS && channels <= 64 * out * window
    this.placeChannels = new Uint16Array(comparesChannels ? filter : 0)
    this.placeValues = new Float32Array(comparesChannels ? filter : 0)
    this.placeLengths = new Uint16Array(window)
    this.channelWeights = comparesChannels ? new Float64Array(channels * channels) : undefined
  }

  /** Sets `predictions` for value `i`; `column` is its place in its row. */
  predict(i: number, column: number): void {
    const { predictions, sumWeights } = this
    const range = RANGE * this.deviation
    if (column === 0) {
      this.rowWeights.fill(0)
      this.placeLengths.fill(0)
    }
    predictions[0] = clamp(this.byRows(column), range)
    predictions[1] = this.channelWeights ? clamp(this.byChannels(column, this.channelWeights), range) : 0
    predictions[2] = clamp(this.byNeighbours(i, column), range)
    predictions[3] = clamp(
      sumWeights[0] * predictions[0] + sumWeights[1] * predictions[1] + sumWeights[2] * predictions[2],
      range,
    )
  }

  private byRows(column: number): number {
    const { columnRows, columnValues, rowWeights } = this
    let prediction = 0
    let squares = 0
    const start = column * rowWeights.length
    const end = start + this.columnLengths[column]
    for (let j = start; j < end; j++) {
      const value = columnValues[j]
      prediction += rowWeights[columnRows[j]] * value
      squares += value * value
    }
    this.rowSquares = squares
    return prediction
  }

  private byChannels(column: number, weights: Float64Array): number {
    const { channels, placeChannels, placeValues, grid } = this
    const channel = (column / grid.window) | 0
    const place = column - channel * grid.window
    const start = place * channels
    const end = start + this.placeLengths[place]
    const base = channel * channels
    let prediction = 0
    for (let j = start; j < end; j++) prediction += weights[base + placeChannels[j]] * placeValues[j]
    return prediction
  }

  private byNeighbours(i: number, column: number): number {
    const { values, grid } = this
    const local = this.local.inputs
    const { window, plane, row, filter } = grid
    const place = column % plane
    const x = place % row
    const y = (place / row) | 0
    local[0] = x > 0 ? values[i - 1] : 0
    local[1] = x > 1 ? values[i - 2] : 0
    local[2] = y > 0 ? values[i - row] : 0
    local[3] = y > 0 && x > 0 ? values[i - row - 1] : 0
    local[4] = y > 0 && x < row - 1 ? values[i - row + 1] : 0
    local[5] = y > 1 ? values[i - 2 * row] : 0
    for (let k = 1; k <= 4; k++) local[5 + k] = column >= k * window ? values[i - k * window] : 0
    local[10] = i >= filter ? values[i - filter] : 0
    local[11] = i >= 2 * filter ? values[i - 2 * filter] : 0
    return this.local.predict()
  }

  /** Learns value `i`, for which `predict` was called before. */
  update(i: number, column: number, value: number): void {
    const { predictions, sumWeights, rowWeights } = this
    this.values[i] = value
    this.squares += value * value
    this.seen++
    const variance = this.squares / this.seen
    // One step of Newton's method: the variance hardly moves, and division is exact on all machines.
    this.deviation = (this.deviation + variance / this.deviation) / 2
    const start = column * rowWeights.length
    const end = start + this.columnLengths[column]
    const rowStep = (ROW_STEP * (value - predictions[0])) / (this.rowSquares + ROW_CALM * variance)
    for (let j = start; j < end; j++) rowWeights[this.columnRows[j]] += rowStep * this.columnValues[j]
    if (this.channelWeights) this.learnChannel(column, value, variance, this.channelWeights)
    const row = (i / this.grid.filter) | 0
    if (value !== 0 && row < rowWeights.length) {
      this.columnRows[end] = row
      this.columnValues[end] = value
      this.columnLengths[column]++
    }
    this.local.learn(value - predictions[2], variance)
    const sumStep = ((value - predictions[3]) * SUM_STEP) / variance
    for (let k = 0; k < 3; k++) sumWeights[k] += sumStep * predictions[k]
  }

  private learnChannel(column: number, value: number, variance: number, weights: Float64Array): void {
    const { channels, placeChannels, placeValues, placeLengths, grid } = this
    const channel = (column / grid.window) | 0
    const place = column - channel * grid.window
    const start = place * channels
    const end = start + placeLengths[place]
    const base = channel * channels
    const step = ((value - this.predictions[1]) * CHANNEL_STEP) / variance
    for (let j = start; j < end; j++) weights[base + placeChannels[j]] += step * placeValues[j]
    if (value === 0) return
    placeChannels[end] = channel
    placeValues[end] = value
    placeLengths[place]++
  }
}

function clamp(value: number, range: number): number {
  return value > range ? range : value < -range ? -range : value
}
