/** What weights on a grid will take in the file, as a term of the loss. */
import type { Draft } from '../../../ir/draft.ts'
import { elementCount, float32, int64 } from '../../../tensor/tensor.ts'
import type { Penalty } from '../../../training/extensions.ts'

/** A parameter whose multiples of `step` are what the file will hold. */
export interface GridWeight {
  /** The initializer, float32 in the training graph: [...shape]. */
  readonly parameter: string
  readonly shape: readonly number[]
  readonly step: number
  /** Axes of outputs and inputs, where they are known. */
  readonly outAxis?: number
  readonly inAxis?: number
}

/** What a magnitude above zero costs for each doubling, in bits: about what the pack's coder needs for it. */
const BITS_PER_DOUBLING = 1.5
/** Where half of the cost of not being zero is reached, in steps: the step function at ½ has no slope to follow. */
const SOFTNESS = 0.5
/** The counts that a density starts with, as a coder's adaptive probabilities do. */
const PRIOR_COUNT = 0.4
/** Odds of not being zero are kept within these. */
const LEAST_ODDS = 1e-5
const MOST_ODDS = 0.7

/**
 * λ times the bits that the codes q = w / step will take:
 *
 *   R = Σ (1 − log₂ odds) · h(|q|) + 1.5 · log₂(1 + |q|),   h(a) = (1 + ε) a / (a + ε)
 *
 * The odds of a code that is not zero come from an adaptive prior: the density of such codes in its output channel times
 * that in its input channel over that of the layer, counted in the present codes. So a weight in a channel that is almost
 * empty costs more than one in a full channel, for the pack's coder and here alike, and channels empty altogether. No
 * gradient flows through the counts.
 */
export function ratePenalty(weights: readonly GridWeight[], lambda: number): Penalty {
  return (draft) => {
    const literal = (value: number) => draft.constant('rate', float32([value], []))
    const parts = weights.map((weight) => bitsOf(draft, weight, literal))
    const total = parts.reduce((sum, part) => draft.add('Add', [sum, part]))
    return draft.add('Mul', [total, literal(lambda)])
  }
}

function bitsOf(draft: Draft, weight: GridWeight, literal: (value: number) => string): string {
  const { parameter, step } = weight
  const size = draft.add('Abs', [draft.add('Mul', [parameter, literal(1 / step)])])
  const cost = draft.add('Sub', [literal(1), logarithm(draft, oddsOf(draft, weight, size, literal), literal)])
  const risen = draft.add('Mul', [size, literal(1 + SOFTNESS)])
  const present = draft.add('Div', [risen, draft.add('Add', [size, literal(SOFTNESS)])])
  const doublings = logarithm(draft, draft.add('Add', [size, literal(1)]), literal)
  const bits = draft.add('Add', [
    draft.add('Mul', [cost, present]),
    draft.add('Mul', [doublings, literal(BITS_PER_DOUBLING)]),
  ])
  return draft.add('ReduceSum', [bits], { keepdims: 0 })
}

/** The odds that a code is not zero, broadcastable to the weight. */
function oddsOf(draft: Draft, weight: GridWeight, size: string, literal: (value: number) => string): string {
  const { shape, outAxis, inAxis } = weight
  const count = elementCount(shape)
  const nonzero = draft.add('Cast', [draft.add('Greater', [size, literal(0.5)])], { to: 1 })
  const density = (kept: number | undefined) => {
    const axes = shape.map((_, axis) => axis).filter((axis) => axis !== kept)
    const total = kept === undefined ? count : count / shape[kept]
    const sum = draft.add('ReduceSum', [nonzero, draft.constant('axes', int64(axes))], { keepdims: 1 })
    return draft.add('Mul', [draft.add('Add', [sum, literal(PRIOR_COUNT)]), literal(1 / (total + 2 * PRIOR_COUNT))])
  }
  const known = outAxis !== undefined && inAxis !== undefined && outAxis !== inAxis
  const odds = known
    ? draft.add('Div', [draft.add('Mul', [density(outAxis), density(inAxis)]), density(undefined)])
    : density(undefined)
  return draft.add('Clip', [odds, literal(LEAST_ODDS), literal(MOST_ODDS)])
}

/** log₂ x */
function logarithm(draft: Draft, x: string, literal: (value: number) => string): string {
  return draft.add('Mul', [draft.add('Log', [x]), literal(Math.LOG2E)])
}
