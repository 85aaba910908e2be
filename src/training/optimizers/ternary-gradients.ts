import type { Draft } from '../../ir/draft.ts'
import type { Paper } from '../../paper.ts'
import type { Optimizer, UpdateContext } from './optimizer.ts'

/** Gradients are clipped to so many standard deviations: c of the paper. */
const DEVIATIONS = 2.5

const paper: Paper = {
  title: 'TernGrad: Ternary Gradients to Reduce Communication in Distributed Deep Learning',
  authors: 'Wen, Xu, Yan, Wu, Wang, Chen, Li',
  venue: 'NIPS',
  year: 2017,
  arxiv: '1705.07878',
}

/**
 * TernGrad around any rule, which gets s · sign(g) · b in the place of the gradient g of each parameter: s = max |g|,
 * and b is 1 with probability |g| / s, otherwise 0, so that the expectation is g. Before, g is clipped to 2.5 σ, which
 * keeps s small. Each parameter has a scaler of its own (layer-wise ternarizing).
 *
 * Differs from the paper: σ is the root mean square, the deviation from zero, which is where the paper sees the mean;
 * so gradients of a single number, or all alike, are not clipped to nothing. In its networks for ImageNet the last layer
 * keeps gradients of full precision; here all parameters have ternary ones. Weight decay is part of the gradient.
 */
export function ternaryGradients(rule: Optimizer): Optimizer {
  return Object.freeze({
    ...rule,
    summary: `With gradients of three values each: ${rule.summary}`,
    paper,
    update(context: UpdateContext) {
      const { scaler, signs } = ternaryGradient({ ...context, noise: context.noise() })
      return rule.update({ ...context, gradient: context.draft.add('Mul', [signs, scaler]) })
    },
  })
}

/** What goes over a wire for one parameter and one step: two bits an element, and a number. */
export interface TernaryGradient {
  /** Name of the largest magnitude, a float32 scalar. */
  readonly scaler: string
  /** Name of -1, 0 or 1 for each element, float32, of the gradient's shape. */
  readonly signs: string
}

/** @param noise uniform in [0, 1), of the gradient's shape. */
export function ternaryGradient({
  draft,
  gradient,
  noise,
  literal,
}: Pick<UpdateContext, 'gradient' | 'literal'> & { readonly draft: Draft; readonly noise: string }): TernaryGradient {
  const magnitude = draft.add('Abs', [gradient])
  const whole = { keepdims: 0 }
  const square = draft.add('ReduceMean', [draft.add('Mul', [gradient, gradient])], whole)
  const bound = draft.add('Mul', [draft.add('Sqrt', [square]), literal(DEVIATIONS)])
  const clipped = draft.add('Min', [magnitude, bound])
  const scaler = draft.add('ReduceMax', [clipped], whole)
  const sent = draft.add('Cast', [draft.add('Less', [draft.add('Mul', [noise, scaler]), clipped])], { to: 1 })
  return { scaler, signs: draft.add('Mul', [draft.add('Sign', [gradient]), sent]) }
}
