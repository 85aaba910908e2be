import type { RateModel } from '../../../codecs/rate.ts'
import type { WeightRows } from '../../weight-rows.ts'
import type { ErrorMetric } from './error-metric.ts'
import { uniformGrid, type Grid } from './grid.ts'

/** The codes of one layer, chosen for distortion + λ · bits. */
export interface CodeChoice {
  readonly weights: Float32Array
  readonly rows: WeightRows
  readonly metric: ErrorMetric
  /** What codes stand for in each row. */
  grid(row: number): Grid
  /** What an error in the output of row r counts. */
  readonly gain: Float64Array
  readonly lambda: number
  readonly rate: RateModel
  /** The codes from before, which contexts see; overwritten in the order of the rows. */
  readonly codes: Int16Array
  readonly bias?: BiasChoice
  /** Told of each weight that was chosen: what it should have been and what its squared error counts. */
  onChoice?(code: number, target: number, weight: number, context: number): void
}

/** The bias of each row, chosen after its weights on a grid of its own. */
export interface BiasChoice {
  readonly values: Float32Array
  readonly step: number
  readonly codes: Int16Array
  /** Bits of a code. */
  bits(code: number): number
}

export interface ChosenCodes {
  /** Σ over rows of gain · Δᵀ A Δ. */
  readonly distortion: number
  readonly bits: number
}

/** So far on the other side of zero a code is looked at even where errors cost nothing. */
const NEAR = 48

/** Chooses all codes of a layer, one after another; each is the best for the error that those before it left. */
export function chooseCodes(choice: CodeChoice): ChosenCodes {
  const { weights, rows, metric, gain, lambda, rate, codes, bias } = choice
  const { size, scale, feedback } = metric
  const perGroup = rows.count / rows.groups
  const errors = new Float64Array(size)
  const biasGrid = bias && uniformGrid(bias.step)
  let distortion = 0
  let bits = 0
  for (let r = 0; r < rows.count; r++) {
    const group = Math.floor(r / perGroup)
    const m = feedback?.subarray(group * size * size, (group + 1) * size * size)
    const grid = choice.grid(r)
    for (let k = 0; k < rows.length; k++) {
      const at = rows.base[r] + k * rows.stride
      const target = weights[at] - made(m, errors, k, size)
      const weight = gain[r] * scale[group * size + k]
      const context = rate.context(codes, at)
      const code = bestCode(grid, target, weight, lambda, (candidate) => rate.bits(context, candidate))
      codes[at] = code
      errors[k] = grid.value(code) - weights[at]
      distortion += weight * (grid.value(code) - target) ** 2
      bits += rate.bits(context, code)
      choice.onChoice?.(code, target, weight, context)
    }
    if (!bias) continue
    const target = bias.values[r] - (rows.length < size ? made(m, errors, rows.length, size) : 0)
    const code = bestCode(biasGrid!, target, gain[r], lambda, bias.bits)
    bias.codes[r] = code
    distortion += gain[r] * (biasGrid!.value(code) - target) ** 2
    bits += bias.bits(code)
  }
  return { distortion, bits }
}

/** What the errors before weight k make of it. */
export function made(m: Float64Array | undefined, errors: Float64Array, k: number, size: number): number {
  if (!m) return 0
  let sum = 0
  for (let j = 0, at = k * size; j < k; j++, at++) sum += m[at] * errors[j]
  return sum
}

/**
 * The code with the least weight · (value - target)² + λ · bits(code): from the nearest one outwards until the distance
 * alone costs more. Of equal ones the nearest.
 */
export function bestCode(
  grid: Grid,
  target: number,
  weight: number,
  lambda: number,
  bits: (code: number) => number,
): number {
  const nearest = grid.nearest(target)
  if (lambda === 0) return nearest
  let chosen = nearest
  const from = grid.value(nearest)
  let least = weight * (from - target) ** 2 + lambda * bits(nearest)
  const most = Math.max(NEAR, Math.abs(nearest))
  const [low, high] = [Math.max(grid.low, -most), Math.min(grid.high, most)]
  const towards = target < from ? -1 : 1
  for (const direction of [towards, -towards])
    for (let code = nearest + direction; code >= low && code <= high; code += direction) {
      const distance = weight * (grid.value(code) - target) ** 2
      if (distance >= least) break
      const cost = distance + lambda * bits(code)
      if (cost < least) {
        least = cost
        chosen = code
      }
    }
  return chosen
}
