/**
 * Autoflex (Köster et al. 2017, arXiv 1711.02213, algorithm 2): predicts the exponent of each tensor for the next step
 * from the largest magnitudes that it had in the last ones. All tensors of a step go through the same few nodes.
 */
import type { Draft } from '../../ir/draft.ts'
import { largestMantissa, mostExponent, usedExponent, type FlexpointFormat } from '../../ir/families/flexpoint.ts'
import { float32, int64, type Tensor } from '../../tensor/tensor.ts'

/** Steps that the statistics reach back: l of the paper. */
const WINDOW = 16
/** Headroom over the predicted maximum: alpha of the paper. */
const HEADROOM = 2
/** Standard deviations that the predicted maximum lies above the mean: beta of the paper. */
const DEVIATIONS = 3
/** Added to the predicted maximum, in steps of a mantissa of 16 bits: gamma of the paper. */
const OFFSET = 100

/** What Autoflex carries from step to step, for T tensors; names of values, or the values themselves. */
export interface AutoflexState<Value> {
  /** `[T]`: the exponent of each tensor in the next step; -1 where it was zero so far, so that nothing is known. */
  readonly exponents: Value
  /** `[T, l]`: largest magnitudes, the newest last; -1 where there are none. */
  readonly maxima: Value
  /** `[T]`: steps in which the tensor overflowed. */
  readonly overflows: Value
}

/**
 * The state before the first step.
 * @param exponents those that are known, by the paper's algorithm 1; others are -1.
 */
export function autoflexStart(exponents: readonly number[]): AutoflexState<Tensor> {
  const count = exponents.length
  return {
    exponents: float32(exponents),
    maxima: float32(new Float32Array(count * WINDOW).fill(-1), [count, WINDOW]),
    overflows: float32(new Float32Array(count)),
  }
}

/**
 * Appends algorithm 2 for all tensors. Where a tensor overflowed, its statistics begin anew with twice the largest
 * magnitude that it could say.
 *
 * Differs from the paper: gamma, 100 mantissa steps of 16 bits, is scaled to the mantissas that there are.
 * @param magnitudes `[T]`: the largest magnitude of each tensor in this step, before rounding.
 */
export function autoflex(
  draft: Draft,
  format: FlexpointFormat,
  state: AutoflexState<string>,
  magnitudes: string,
  literal: (value: number) => string,
): AutoflexState<string> {
  const emit = (op: string, inputs: readonly string[]) => draft.add(op, inputs)
  const list = (values: readonly number[]) => draft.constant('axes', int64(values))
  const column = (value: string) => emit('Unsqueeze', [value, list([1])])
  const sum = (value: string) => draft.add('ReduceSum', [value, list([1])], { keepdims: 0 })
  const number = (truth: string) => draft.add('Cast', [truth], { to: 1 })

  const used = usedExponent({ emit, literal }, state.exponents, magnitudes, format)
  const steps = emit('Pow', [literal(2), used])
  const largest = literal(largestMantissa(format))
  const mantissa = emit('Min', [emit('Round', [emit('Mul', [magnitudes, steps])]), largest])
  const overflown = emit('GreaterOrEqual', [mantissa, largest])
  const known = emit('Or', [
    emit('Greater', [magnitudes, literal(0)]),
    emit('GreaterOrEqual', [state.exponents, literal(0)]),
  ])

  const doubled = emit('Where', [overflown, emit('Mul', [mantissa, literal(2)]), mantissa])
  const entry = column(emit('Div', [doubled, steps]))
  const recent = emit('Slice', [state.maxima, list([1]), list([WINDOW]), list([1])])
  const kept = emit('Where', [column(overflown), literal(-1), recent])
  const extended = draft.add('Concat', [kept, entry], { axis: 1 })
  const maxima = emit('Where', [column(known), extended, state.maxima])

  const filled = number(emit('GreaterOrEqual', [extended, literal(0)]))
  const count = sum(filled)
  const mean = emit('Div', [sum(emit('Mul', [extended, filled])), count])
  const apart = emit('Mul', [emit('Sub', [extended, column(mean)]), filled])
  const deviation = emit('Sqrt', [emit('Div', [sum(emit('Mul', [apart, apart])), count])])
  const offset = emit('Div', [literal(OFFSET * 2 ** (format.mantissa - 16)), steps])
  const level = emit('Sum', [mean, emit('Mul', [deviation, literal(DEVIATIONS)]), offset])
  const power = emit('Ceil', [emit('Div', [emit('Log', [emit('Mul', [level, literal(HEADROOM)])]), literal(Math.LN2)])])
  const predicted = emit('Clip', [
    emit('Sub', [literal(format.mantissa - 1), power]),
    literal(0),
    literal(mostExponent(format)),
  ])
  return {
    exponents: emit('Where', [known, predicted, literal(-1)]),
    maxima,
    overflows: emit('Add', [state.overflows, number(overflown)]),
  }
}
