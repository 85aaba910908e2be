import { defineOptimizer } from './optimizer.ts'

/**
 * Stochastic gradient descent in PyTorch's form, for gradient g, momentum μ and learning rate η:
 * v ← μ v + g (v starts at zero), then w ← w − η v, or with Nesterov's momentum w ← w − η (g + μ v).
 * Differs from the paper: Sutskever et al. (section 2) put the rate into the velocity, v ← μ v − η g. Both agree while the
 * rate stays the same; when the rate drops, this form's velocity takes effect with the new rate at once.
 */
export const sgd = defineOptimizer({
  name: 'sgd',
  summary: 'Stochastic gradient descent, with heavy-ball or Nesterov momentum.',
  paper: {
    title: 'On the importance of initialization and momentum in deep learning',
    authors: 'Sutskever, Martens, Dahl, Hinton',
    venue: 'ICML',
    year: 2013,
  },
  slots: ({ momentum }) => (momentum > 0 ? ['velocity'] : []),
  update({ draft, parameter, gradient, slots: [previous], learningRate, settings, literal }) {
    let direction = gradient
    const slots: string[] = []
    if (previous !== undefined) {
      const momentum = literal(settings.momentum)
      const velocity = draft.add('Add', [draft.add('Mul', [previous, momentum]), gradient])
      slots.push(velocity)
      direction = settings.nesterov ? draft.add('Add', [gradient, draft.add('Mul', [velocity, momentum])]) : velocity
    }
    return { parameter: draft.add('Sub', [parameter, draft.add('Mul', [direction, learningRate])]), slots }
  },
})
