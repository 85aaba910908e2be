import { float } from '../../../ir/draft.ts'
import { toFloat32 } from '../../../tensor/half.ts'
import { float32 } from '../../../tensor/tensor.ts'
import { learnedStepSizeQuantization } from '../../../paper.ts'
import { activationBits, defineActivationQuantizer } from './family/family.ts'

/** Steps are kept above this. */
const LEAST = 2 ** -20

/**
 * Multiples of a step that is trained with the network: section 2. Codes go from 0 where nothing negative was seen, so
 * behind a ReLU, otherwise from -2^(bits-1). The step starts at 2 E|x| / sqrt(Q_P), and its gradient is scaled by
 * 1 / sqrt(N Q_P), N the numbers that a layer reads of one example (section 2.2).
 *
 * Differs from the paper: E|x| is taken from all calibration examples and not from the first batch.
 */
export const learnedStepSize = defineActivationQuantizer({
  name: 'learned-step-size',
  summary: 'Lets layers read inputs of k bits whose step is trained with the network.',
  paper: learnedStepSizeQuantization,
  options: { bits: activationBits(2, 4) },
  activation: 'keeps',
  calibrates: true,
  trained: ['step'],
  start({ statistics: { min, meanAbsolute }, options: { bits } }) {
    const lowest = min < 0 ? -(2 ** (bits - 1)) : 0
    const step = (2 * meanAbsolute) / Math.sqrt(lowest + 2 ** bits - 1)
    if (step <= LEAST) return 'what it reads is 0 on all calibration examples, or nearly so'
    return { step: float32([step], []), lowest: float32([lowest], []) }
  },
  forward({ draft, x, shape = [], parameters, options: { bits }, literal }) {
    const [low] = toFloat32(draft.initializers.get(parameters.lowest)!)
    const high = low + 2 ** bits - 1
    const numbers = shape.slice(1).reduce<number>((product, size) => product * (typeof size === 'number' ? size : 1), 1)
    const step = draft.add('espalier.ClipPassThrough', [parameters.step, literal(LEAST)])
    const attributes = { low, high, gradient_scale: float(1 / Math.sqrt(numbers * high)) }
    return draft.add('espalier.LearnedStepQuantize', [x, step], attributes)
  },
})
