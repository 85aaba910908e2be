import { binarizedNeuralNetworks } from '../../paper.ts'
import { nearestPowerOfTwo } from '../../tensor/powers-of-two.ts'
import { defineOptimizer } from './optimizer.ts'

/** 1 − β2 of the paper. */
const TAKEN = 2 ** -10
/** The smallest normal float32: what stands for a second moment of zero, whose first moment is zero, too. */
const LEAST = 2 ** -126

/**
 * Shift-based AdaMax, section 1.5 and algorithm 4 of the paper: m ← β1 m + (1 − β1) g, v ← max(β2 v, |g|),
 * w ← w − AP2(η / (1 − β1^t)) · m / AP2(v), in which AP2(x) = 2^round(log2 x) is the power of two next to x, so that
 * every product and quotient is a shift. 1 − β2 = 2^-10, and 1 − β1 is the power of two next to 1 − `momentum`: with
 * the default of 0.9 the paper's 2^-3. The paper's rate is 2^-10 (0.0009765625), shifted right every ten epochs on
 * MNIST, which is the schedule `step` with gamma 0.5; the authors' code for CIFAR-10 starts at 2^-6 and halves it every
 * fifty.
 *
 * Differs from the authors' code: v itself is kept as it is, as the algorithm has it, and not rounded in place.
 */
export const shiftAdamax = defineOptimizer({
  name: 'shift-adamax',
  summary: 'AdaMax whose products are all by powers of two, that is shifts.',
  paper: binarizedNeuralNetworks,
  slots: () => ['first_moment', 'infinity_norm'],
  prepare({ draft, settings, literal, step }) {
    const beta1 = 1 - firstTaken(settings.momentum)
    return { correction: draft.add('Sub', [literal(1), draft.add('Pow', [literal(beta1), step])]) }
  },
  update({ draft, parameter, gradient, slots: [first, norm], learningRate, shared, settings, literal }) {
    const taken = firstTaken(settings.momentum)
    const kept = draft.add('Mul', [first, literal(1 - taken)])
    const m = draft.add('Add', [kept, draft.add('Mul', [gradient, literal(taken)])])
    const v = draft.add('Max', [draft.add('Mul', [norm, literal(1 - TAKEN)]), draft.add('Abs', [gradient])])
    const rate = draft.add('espalier.PowerOfTwo', [draft.add('Div', [learningRate, shared.correction])])
    const divisor = draft.add('espalier.PowerOfTwo', [draft.add('Max', [v, literal(LEAST)])])
    const move = draft.add('Mul', [draft.add('Div', [m, divisor]), rate])
    return { parameter: draft.add('Sub', [parameter, move]), slots: [m, v] }
  },
})

function firstTaken(momentum: number): number {
  return nearestPowerOfTwo(1 - momentum)
}
