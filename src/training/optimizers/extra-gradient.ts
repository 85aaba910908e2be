import { extremelyLowBitNeuralNetwork } from '../../paper.ts'
import { defineOptimizer } from './optimizer.ts'

/**
 * The extra-gradient method of Korpelevich, as the paper solves its proximal step by it: a prediction W^p ← W − η
 * ∂L(W), then a correction from where the prediction began, with the gradient found there: W ← W − η ∂L(W^p). Each
 * takes one step of the training, and the slot `anchor` remembers W from the one to the other. A run ends on a
 * correction: of an odd number of steps the first corrects already, from the start, by its own gradient. With
 * `momentum` μ the correction is a heavy ball's: v ← μ v + ∂L(W^p), W ← W − η v.
 *
 * Differs from the paper: prediction and correction see batches of their own, their rates β_p and β_c are both the
 * training's, and the paper has no momentum. An epoch with an odd number of steps may end on a prediction, which is
 * what its validation then measures.
 */
export const extraGradient = defineOptimizer({
  name: 'extra-gradient',
  summary: 'Extra-gradient: a step to look ahead, and one from the same place with the gradient found there, by turns.',
  paper: extremelyLowBitNeuralNetwork,
  slots: ({ momentum }) => (momentum > 0 ? ['anchor', 'velocity'] : ['anchor']),
  prepare({ draft, literal, step, totalSteps }) {
    const pairsLeft = draft.add('Mul', [draft.add('Sub', [literal(totalSteps), step]), literal(0.5)])
    const corrects = draft.add('Equal', [pairsLeft, draft.add('Floor', [pairsLeft])])
    const first = draft.add('LessOrEqual', [step, literal(1)])
    // In the first step the anchor is still empty.
    const resumes = draft.add('And', [corrects, draft.add('Not', [first])])
    return { corrects, resumes }
  },
  update({ draft, parameter, gradient, slots: [anchor, previous], learningRate, shared, settings, literal }) {
    const base = draft.add('Where', [shared.resumes, anchor, parameter])
    let direction = gradient
    const slots = [base]
    if (previous !== undefined) {
      const grown = draft.add('Add', [draft.add('Mul', [previous, literal(settings.momentum)]), gradient])
      direction = draft.add('Where', [shared.corrects, grown, gradient])
      slots.push(draft.add('Where', [shared.corrects, grown, previous]))
    }
    return { parameter: draft.add('Sub', [base, draft.add('Mul', [direction, learningRate])]), slots }
  },
})
