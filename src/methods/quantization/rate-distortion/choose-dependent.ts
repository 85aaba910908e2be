import { DEPENDENT_STATES, dependentNumber, nextState, quantizerOf } from '../../../codecs/dependent.ts'
import { learnRate, type RateModel } from '../../../codecs/rate.ts'
import { bestCode, made, type ChosenCodes, type CodeChoice } from './choose-codes.ts'
import { uniformGrid } from './grid.ts'

/** Codes of one layer to be chosen as numbers that obey the machine of dependent quantization. */
export interface DependentChoice extends Omit<CodeChoice, 'grid' | 'rate' | 'onChoice'> {
  /** The shape of the weight, whose rows lie in its order. */
  readonly shape: readonly number[]
  /** What a code of 1 stands for in each row. */
  step(row: number): number
  /** Times that codes are chosen, each by the rates of the last. */
  readonly passes: number
  /** The largest code. */
  readonly largest: number
}

/** How far around what a weight should be its code is looked for. */
const AROUND = [-2, -1, 0, 1, 2, 3]

/**
 * Chooses the codes of a layer, row after row, each by Viterbi's algorithm: of all ways to a state of the machine the one
 * with the least distortion + λ · bits survives. Each survivor makes up for its own errors. Overwrites `codes`.
 */
export function chooseDependent(choice: DependentChoice): ChosenCodes {
  const { codes, rows, weights } = choice
  // What the coder sees: codes within their quantizers, first as if all were even.
  const inner = new Int16Array(codes.length)
  for (let r = 0; r < rows.count; r++)
    for (let k = 0, at = rows.base[r]; k < rows.length; k++, at++)
      inner[at] = Math.round(weights[at] / (2 * choice.step(r)))
  let quantizers: Uint8Array | undefined
  let result: ChosenCodes = { distortion: 0, bits: 0 }
  for (let pass = 0; pass < choice.passes; pass++) {
    const rate = learnRate(inner, choice.shape, quantizers)
    const chosen = new Uint8Array(codes.length)
    result = choosePass(choice, rate, inner, chosen)
    quantizers = chosen
  }
  for (let i = 0; i < codes.length; i++) codes[i] = dependentNumber(quantizers![i], inner[i])
  return result
}

/** The survivor of each state. */
interface Survivor {
  cost: number
  distortion: number
  bits: number
  errors: Float64Array
}

function createSurvivors(size: number): Survivor[] {
  return Array.from({ length: DEPENDENT_STATES }, () => ({
    cost: Infinity,
    distortion: 0,
    bits: 0,
    errors: new Float64Array(size),
  }))
}

function choosePass(choice: DependentChoice, rate: RateModel, inner: Int16Array, quantizers: Uint8Array): ChosenCodes {
  const { weights, rows, metric, gain, lambda, bias, largest } = choice
  const { size, scale, feedback } = metric
  const { length } = rows
  let survivors = createSurvivors(size)
  let next = createSurvivors(size)
  const from = new Uint8Array(length * DEPENDENT_STATES)
  const taken = new Int16Array(length * DEPENDENT_STATES)
  const biasGrid = bias && uniformGrid(bias.step)
  let start = 0
  let distortion = 0
  let bits = 0
  for (let r = 0; r < rows.count; r++) {
    const group = Math.floor(r / (rows.count / rows.groups))
    const m = feedback?.subarray(group * size * size, (group + 1) * size * size)
    const step = choice.step(r)
    for (const [state, survivor] of survivors.entries())
      Object.assign(survivor, { cost: state === start ? 0 : Infinity, distortion: 0, bits: 0 })
    for (let k = 0; k < length; k++) {
      const at = rows.base[r] + k
      const weight = gain[r] * scale[group * size + k]
      const context = rate.context(inner, at)
      for (const one of next) one.cost = Infinity
      for (const [state, own] of survivors.entries()) {
        if (own.cost === Infinity) continue
        const quantizer = quantizerOf(state)
        const target = weights[at] - made(m, own.errors, k, size)
        const consider = (code: number) => {
          const number = dependentNumber(quantizer, code)
          if (Math.abs(number) > largest) return
          const noise = weight * (number * step - target) ** 2
          const price = rate.bits(context, code, quantizer)
          const cost = own.cost + noise + lambda * price
          const to = nextState(state, code)
          const reached = next[to]
          if (cost >= reached.cost) return
          reached.cost = cost
          reached.distortion = own.distortion + noise
          reached.bits = own.bits + price
          from[k * DEPENDENT_STATES + to] = state
          taken[k * DEPENDENT_STATES + to] = code
        }
        const sign = Math.sign(target)
        const base = Math.floor((target / step + quantizer * sign) / 2)
        const limit = largest >> 1
        for (const by of AROUND) consider(Math.max(-limit, Math.min(limit, base + by)))
        consider(0)
        consider(sign)
      }
      for (const [state, one] of next.entries()) {
        if (one.cost === Infinity) continue
        const by = k * DEPENDENT_STATES + state
        if (m) one.errors.set(survivors[from[by]].errors.subarray(0, k))
        one.errors[k] = dependentNumber(quantizerOf(from[by]), taken[by]) * step - weights[at]
      }
      ;[survivors, next] = [next, survivors]
    }
    start = survivors.reduce((least, { cost }, state) => (cost < survivors[least].cost ? state : least), 0)
    const best = survivors[start]
    distortion += best.distortion
    bits += best.bits
    for (let k = length - 1, state = start; k >= 0; k--) {
      const by = k * DEPENDENT_STATES + state
      state = from[by]
      inner[rows.base[r] + k] = taken[by]
      quantizers[rows.base[r] + k] = quantizerOf(state)
    }
    if (!bias || !biasGrid) continue
    const target = bias.values[r] - (length < size ? made(m, best.errors, length, size) : 0)
    const code = bestCode(biasGrid, target, gain[r], lambda, bias.bits)
    bias.codes[r] = code
    distortion += gain[r] * (biasGrid.value(code) - target) ** 2
    bits += bias.bits(code)
  }
  return { distortion, bits }
}
