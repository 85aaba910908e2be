import { learnRate } from '../../../codecs/rate.ts'
import { dtypes, type DType } from '../../../tensor/dtype.ts'
import { fromFloat32, toFloat32 } from '../../../tensor/half.ts'
import { largestMagnitude } from '../../../tensor/magnitudes.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import type { InputMoments } from '../../calibration.ts'
import type { WeightRows } from '../../weight-rows.ts'
import { chooseDependent } from './choose-dependent.ts'
import { chooseCodes, type BiasChoice, type ChosenCodes } from './choose-codes.ts'
import { diagonalMetric, feedbackMetric, plainMetric, type ErrorMetric } from './error-metric.ts'
import { LARGEST_CODE, uniformGrid } from './grid.ts'
import { storedScale, type IntegerCodes } from '../integer-codes.ts'
import { trainGrid } from './trained-grid.ts'

/** What the codes of one layer are chosen by. */
export interface LayerTask {
  /** What errors call the layer. */
  readonly name: string
  readonly weight: Tensor
  /** The finite numbers of `weight`. */
  readonly values: Float32Array
  readonly rows: WeightRows
  /** Absent where there are no data, or where a row is too long for it. */
  readonly moments?: InputMoments
  /** What a squared error of 1 in the output of each row costs; without it errors count relative to the output's spread. */
  readonly sensitivity?: Float64Array
  /** The bias, to be chosen together with the weights: one number a row. */
  readonly bias?: { readonly tensor: Tensor; readonly values: Float32Array }
  readonly lambda: number
  /** The weights of all layers: λ is the price of a bit a weight. */
  readonly total: number
  /** The axis of the weight along which steps differ; absent for one step. */
  readonly axis?: number
  readonly compensate: boolean
  readonly damping: number
  readonly passes: number
  /** 'k-means': the values that codes stand for are trained, and none is a multiple of a step. */
  readonly grid: 'uniform' | 'k-means'
  /** Dependent quantization instead of a choice for each weight by itself, where rows lie in the order of the tensor. */
  readonly trellis: boolean
  /** A trained grid has at most 2^bits values. */
  readonly bits: number
}

/** A layer whose codes are multiples of steps, or places in a codebook; exactly one of `weight` and `shared` is there. */
export interface QuantizedLayer extends ChosenCodes {
  readonly weight?: IntegerCodes
  readonly shared?: { readonly places: Uint16Array; readonly codebook: Float32Array }
  readonly bias?: IntegerCodes
}

/** The best step at high rates: D = h Δ² / 12 and dD / dR = -2 ln 2 · D = -λ give Δ² = 6 λ / (h ln 2). */
const STEP = 6 / Math.LN2

/** Steps below this share of the largest weight would need more than 16 bits. */
const FINEST = 1 / 32000

/**
 * The step of dependent quantization relative to that of the uniform grid at the same λ: each quantizer has twice its
 * step, and makes a decibel less noise at the same rate than a uniform one.
 */
const DEPENDENT_STEP = 0.57

/** λ = 0 asks for the nearest of the 8-bit codes. */
const CODES_WITHOUT_PRICE = 127

/**
 * Chooses the grid and the codes of a layer for distortion + λ · bits. The distortion is the noise in the layer's
 * output relative to its variance; equal λ in all layers means that a bit saves the same noise wherever it is spent.
 * Undefined where the type of the weights has no number as small as the step, or as large as a code stands for. The
 * output of a layer of zeros does not vary, so that nothing tells what its bias may lose: it stays as it is.
 */
export function quantizeLayer(given: LayerTask): QuantizedLayer | undefined {
  const varies = given.sensitivity !== undefined || given.values.some((value) => value !== 0)
  const task = varies ? given : { ...given, bias: undefined }
  const { weight, values, rows, lambda } = task
  const channels = channelsOf(task)
  const spread = rowVariances(values, rows, task.moments)
  const hasMoments = task.moments !== undefined && spread.some((variance) => variance > 0)
  const metric = metricOf(task, hasMoments ? task.moments : undefined)
  const gain = gainsOf(task, hasMoments ? spread : rowVariances(values, rows), channels)
  const dependent = task.trellis && task.grid === 'uniform' && rowsInOrder(rows)
  const uniformSteps = stepsOf(task, metric, gain, channels)
  const finer = dependent && lambda > 0 ? DEPENDENT_STEP : 1
  const steps = storedScale(
    weight.dtype,
    uniformSteps.map((step) => step * finer),
  )
  const bias = task.bias && biasChoice(task.bias, task, gain)
  if (steps.some((step) => !(step > 0)) || (bias && !(bias.step > 0))) return undefined
  const codes = nearestCodes(values, rows, (row) => steps[channels ? channels[row] : 0])
  const choice = { weights: values, rows, metric, gain, lambda, codes, bias }
  const grids = Array.from(steps, uniformGrid)
  const choose = () =>
    chooseCodes({
      ...choice,
      grid: (row) => grids[channels ? channels[row] : 0],
      rate: learnRate(codes, weight.shape),
    })
  const biasType = task.bias?.tensor.dtype ?? weight.dtype
  const codedBias = bias && { bias: { codes: bias.codes, scale: Float32Array.of(bias.step) } }
  const biasFits = () => !bias || fits(biasType, largestMagnitude(Float64Array.from(bias.codes)) * bias.step)
  if (task.grid === 'k-means') {
    choose()
    const { places, codebook, ...cost } = trainGrid(
      {
        ...choice,
        shape: weight.shape,
        count: 2 ** task.bits,
        valueBits: dtypes[weight.dtype].bits,
        stored: (levels) => toFloat32(fromFloat32(weight.dtype, [levels.length], levels)),
      },
      grids[0],
    )
    if (!codebook.every(Number.isFinite) || !biasFits()) return undefined
    return { ...cost, shared: { places, codebook }, ...codedBias }
  }
  const { passes } = task
  let chosen: ChosenCodes = { distortion: 0, bits: 0 }
  if (dependent)
    chosen = chooseDependent({
      ...choice,
      shape: weight.shape,
      step: (row) => steps[channels ? channels[row] : 0],
      passes,
      largest: lambda > 0 ? LARGEST_CODE : CODES_WITHOUT_PRICE,
    })
  else for (let pass = 0; pass < passes; pass++) chosen = choose()
  let largest = 0
  eachWeight(rows, (at, row) => {
    largest = Math.max(largest, Math.abs(codes[at] * steps[channels ? channels[row] : 0]))
  })
  if (!fits(weight.dtype, largest) || !biasFits()) return undefined
  return { ...chosen, weight: { codes, scale: steps, ...(channels ? { axis: task.axis! } : {}) }, ...codedBias }
}

/** Whether one row lies behind another, as coders see them. */
export function rowsInOrder({ stride, base, length }: WeightRows): boolean {
  return stride === 1 && base.every((at, row) => at === row * length)
}

/** The index along `axis` of each row; undefined for one step. */
function channelsOf({ axis, weight: { shape }, rows }: LayerTask): Uint32Array | undefined {
  if (axis === undefined || shape[axis] < 2) return undefined
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1)
  return rows.base.map((at) => Math.floor(at / inner) % shape[axis])
}

function metricOf(
  { rows, bias, compensate, damping, name }: LayerTask,
  moments: InputMoments | undefined,
): ErrorMetric {
  if (!moments) return plainMetric(rows.groups, rows.length)
  return compensate ? feedbackMetric(moments, bias !== undefined, damping, name) : diagonalMetric(moments, damping)
}

/** The variance of what each row gives, wᵀ (E[x xᵀ] - E[x] E[x]ᵀ) w; without moments that of inputs of variance 1. */
function rowVariances(values: Float32Array, rows: WeightRows, moments?: InputMoments): Float64Array {
  const { count, length, base, stride, groups } = rows
  const own = new Float64Array(length)
  return Float64Array.from({ length: count }, (_, r) => {
    for (let k = 0; k < length; k++) own[k] = values[base[r] + k * stride]
    if (!moments) return own.reduce((sum, value) => sum + value * value, 0)
    const group = Math.floor(r / (count / groups))
    let [sum, mean] = [0, 0]
    for (let i = 0; i < length; i++) {
      mean += own[i] * moments.mean[group * length + i]
      const at = (group * length + i) * length
      let product = 0
      for (let j = 0; j < length; j++) product += moments.gram[at + j] * own[j]
      sum += own[i] * product
    }
    return Math.max(0, sum - mean * mean)
  })
}

/** What a squared error in the output of each row counts. With a step a channel, errors count relative to its own spread. */
function gainsOf(task: LayerTask, spread: Float64Array, channels: Uint32Array | undefined): Float64Array {
  const { sensitivity, total } = task
  if (sensitivity) return sensitivity.map((cost) => cost * total)
  const sum = spread.reduce((all, variance) => all + variance, 0)
  if (!(sum > 0)) return new Float64Array(spread.length)
  if (!channels) return new Float64Array(spread.length).fill(total / sum)
  // A channel that hardly moves is no reason for endless precision.
  const least = (1e-4 * sum) / spread.length
  return spread.map((variance) => total / (spread.length * Math.max(variance, least)))
}

function stepsOf(task: LayerTask, metric: ErrorMetric, gain: Float64Array, channels?: Uint32Array): Float32Array {
  const { values, rows, lambda, axis, weight } = task
  const count = channels ? weight.shape[axis!] : 1
  const largest = new Float64Array(count)
  const logs = new Float64Array(count)
  const members = new Float64Array(count)
  const byGroup = logMeans(metric, rows)
  for (let r = 0; r < rows.count; r++) {
    const channel = channels ? channels[r] : 0
    for (let k = 0; k < rows.length; k++)
      largest[channel] = Math.max(largest[channel], Math.abs(values[rows.base[r] + k * rows.stride]))
    logs[channel] += byGroup[Math.floor(r / (rows.count / rows.groups))] + Math.log(Math.max(gain[r], 1e-300))
    members[channel]++
  }
  return Float32Array.from(largest, (most, channel) => {
    if (most === 0) return 1
    if (lambda === 0) return most / CODES_WITHOUT_PRICE
    const step = Math.sqrt((STEP * lambda) / Math.exp(logs[channel] / members[channel]))
    return Math.min(most, Math.max(step, most * FINEST))
  })
}

/** The mean logarithm of what errors count, of the weights of a row: the geometric mean is what one step has to fit. */
function logMeans({ size, scale }: ErrorMetric, { groups, length }: WeightRows): Float64Array {
  return Float64Array.from({ length: groups }, (_, g) => {
    const own = scale.subarray(g * size, g * size + length)
    return own.reduce((sum, value) => sum + Math.log(Math.max(value, 1e-300)), 0) / length
  })
}

/** A bias is an input of 1 that has the variance of none: it gets the grid that the outputs' errors ask for. */
function biasChoice(
  { tensor, values }: NonNullable<LayerTask['bias']>,
  task: LayerTask,
  gain: Float64Array,
): BiasChoice {
  const largest = largestMagnitude(values)
  const mean = gain.reduce((sum, value) => sum + value, 0) / gain.length
  const wanted = task.lambda === 0 || mean === 0 ? largest * FINEST : Math.sqrt((STEP * task.lambda) / mean)
  const step = largest === 0 ? 1 : Math.min(largest, Math.max(wanted, largest * FINEST))
  return {
    values,
    step: storedScale(tensor.dtype, Float32Array.of(step))[0],
    codes: new Int16Array(values.length),
    // The lengths of Elias's gamma code, with a sign: biases are too few to have a histogram of their own.
    bits: (code) => (code === 0 ? 1 : 2 + 2 * Math.floor(Math.log2(Math.abs(code)))),
  }
}

function nearestCodes(values: Float32Array, rows: WeightRows, step: (row: number) => number): Int16Array {
  const codes = new Int16Array(values.length)
  eachWeight(rows, (at, row) => {
    codes[at] = Math.round(values[at] / step(row))
  })
  return codes
}

function eachWeight({ count, length, base, stride }: WeightRows, visit: (at: number, row: number) => void): void {
  for (let row = 0; row < count; row++) for (let k = 0; k < length; k++) visit(base[row] + k * stride, row)
}

/** Whether a number of this size has not left the range of the type. */
function fits(dtype: DType, size: number): boolean {
  return Number.isFinite(toFloat32(fromFloat32(dtype, [], Float32Array.of(size)))[0])
}
