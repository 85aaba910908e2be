import { defineOptimizer } from './optimizer.ts'

/** β2 and ε of the paper's algorithm 1. */
const BETA2 = 0.999
const EPSILON = 1e-8

/**
 * Adam, algorithm 1 of the paper: m ← β1 m + (1 − β1) g, v ← β2 v + (1 − β2) g²,
 * w ← w − η (m / (1 − β1^t)) / (√(v / (1 − β2^t)) + ε), with β1 from the settings' `momentum`, β2 = 0.999, ε = 1e-8.
 */
export const adam = defineOptimizer({
  name: 'adam',
  summary: 'Adaptive moment estimation with bias correction.',
  paper: {
    title: 'Adam: A Method for Stochastic Optimization',
    authors: 'Kingma, Ba',
    venue: 'ICLR',
    year: 2015,
    arxiv: '1412.6980',
  },
  slots: () => ['first_moment', 'second_moment'],
  prepare({ draft, settings, literal, step }) {
    const correction = (beta: number) => draft.add('Sub', [literal(1), draft.add('Pow', [literal(beta), step])])
    return {
      correction1: correction(settings.momentum),
      correction2: draft.add('Sqrt', [correction(BETA2)]),
    }
  },
  update({ draft, parameter, gradient, slots: [first, second], learningRate, shared, settings, literal }) {
    const decayed = (slot: string, beta: number, value: string) =>
      draft.add('Add', [draft.add('Mul', [slot, literal(beta)]), draft.add('Mul', [value, literal(1 - beta)])])
    const m = decayed(first, settings.momentum, gradient)
    const v = decayed(second, BETA2, draft.add('Mul', [gradient, gradient]))
    const root = draft.add('Div', [draft.add('Sqrt', [v]), shared.correction2])
    const rate = draft.add('Div', [learningRate, shared.correction1])
    const step = draft.add('Div', [m, draft.add('Add', [root, literal(EPSILON)])])
    return { parameter: draft.add('Sub', [parameter, draft.add('Mul', [step, rate])]), slots: [m, v] }
  },
})
