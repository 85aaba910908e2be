import type { Draft } from '../../ir/draft.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { defineOptimizer, type UpdateContext } from './optimizer.ts'
import { sgd } from './sgd.ts'

/**
 * Deep Gradient Compression around sgd (algorithm 4): of a parameter's gradient only the entries with the largest
 * accumulated sums are sent, and the parameter is moved by these alone. Momentum correction: u ← μ u + g, v ← v + u, or with
 * Nesterov's momentum u ← μ (u + g), v ← v + u + g. Momentum factor masking: both are cleared where v was sent. Warm-up: the
 * share that is sent falls from all to 1 − s as (1 − s)^p, with p rising from 0 to 1 over the share `gradientWarmup` of the
 * run.
 *
 * Differs from the paper: the warm-up goes from step to step instead of from epoch to epoch; weight decay is part of the
 * gradient; and as in the authors' code, parameters of one axis, such as biases, are sent whole.
 */
export const sparseGradients = defineOptimizer({
  name: 'sgd',
  summary: 'Stochastic gradient descent that sends only the largest sums of gradients.',
  paper: {
    title: 'Deep Gradient Compression: Reducing the Communication Bandwidth for Distributed Training',
    authors: 'Lin, Han, Mao, Wang, Dally',
    venue: 'ICLR',
    year: 2018,
    arxiv: '1712.01887',
  },
  slots(settings, shape) {
    if (shape.length < 2) return sgd.slots(settings, shape)
    return settings.momentum > 0 ? ['velocity', 'unsent'] : ['unsent']
  },
  prepare({ draft, settings: { gradientSparsity = 0, gradientWarmup = 0 }, literal, step, totalSteps }) {
    const warmup = gradientWarmup * totalSteps
    const last = literal(1 - gradientSparsity)
    if (warmup === 0) return { share: last }
    const progress = draft.add('Min', [draft.add('Div', [step, literal(warmup)]), literal(1)])
    return { share: draft.add('Pow', [last, progress]) }
  },
  update(context) {
    const { draft, parameter, shape, learningRate } = context
    if (shape.length < 2) return sgd.update(context)
    const { sent, slots } = compressGradient(context)
    const before = flat(draft, parameter)
    const moves = draft.add('Mul', [sent.values, learningRate])
    const after = draft.add('Sub', [draft.add('Gather', [before, sent.places], { axis: 0 }), moves])
    const moved = draft.add('ScatterElements', [before, sent.places, after], { axis: 0 })
    return { parameter: reshaped(draft, moved, shape), slots }
  },
})

/** What goes over a wire for one parameter and one step; receivers add up what they get, and move the parameter by it. */
export interface SparseGradient {
  /** Name of the places in row-major order, int64 `[k]`. */
  readonly places: string
  /** Name of the sums of gradients there, float32 `[k]`. */
  readonly values: string
}

/** The entries of a parameter's gradient that are sent, and the slots with what waits. */
export function compressGradient({
  draft,
  gradient,
  shape,
  slots,
  settings,
  shared,
  literal,
}: Omit<UpdateContext, 'parameter' | 'learningRate' | 'noise'>): {
  readonly sent: SparseGradient
  readonly slots: string[]
} {
  const g = flat(draft, gradient)
  const [velocity, unsent] =
    slots.length > 1 ? slots.map((slot) => flat(draft, slot)) : [undefined, flat(draft, slots[0])]
  let u: string | undefined
  let grown = g
  if (velocity !== undefined) {
    const momentum = literal(settings.momentum)
    u = settings.nesterov
      ? draft.add('Mul', [draft.add('Add', [velocity, g]), momentum])
      : draft.add('Add', [draft.add('Mul', [velocity, momentum]), g])
    grown = settings.nesterov ? draft.add('Add', [u, g]) : u
  }
  const v = draft.add('Add', [unsent, grown])
  const count = draft.add('Max', [
    draft.add('Ceil', [draft.add('Mul', [shared.share, literal(elementCount(shape))])]),
    literal(1),
  ])
  const k = draft.add('Reshape', [draft.add('Cast', [count], { to: 7 }), list(draft, [1])])
  const [, places] = draft.addMany(
    'TopK',
    [draft.add('Abs', [v]), k],
    { axis: 0, largest: 1, sorted: 0 },
    { outputs: 2 },
  )
  const values = draft.add('Gather', [v, places], { axis: 0 })
  const nothing = draft.add('Mul', [values, literal(0)])
  const left = [u, v].flatMap((all) => {
    return all === undefined
      ? []
      : [reshaped(draft, draft.add('ScatterElements', [all, places, nothing], { axis: 0 }), shape)]
  })
  return { sent: { places, values }, slots: left }
}

function flat(draft: Draft, value: string): string {
  return draft.add('Reshape', [value, list(draft, [-1])])
}

function reshaped(draft: Draft, value: string, shape: readonly number[]): string {
  return draft.add('Reshape', [value, list(draft, shape)])
}

function list(draft: Draft, values: readonly number[]): string {
  return draft.constant('list', int64([...values]))
}
