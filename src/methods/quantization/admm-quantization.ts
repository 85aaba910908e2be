import { z } from 'zod'
import { defineWeightQuantizer } from './family.ts'
import { fitScale } from './fit-scale.ts'
import { nearestPower } from './powers-of-two.ts'

/**
 * Projects the weights of a layer on α · {0, ±1, ±2, ..., ±2^N}, with the scale of least squared error: the step of ADMM
 * that knows nothing of the loss.
 *
 * Differs from the paper: the projection is made once, of a trained network, without the training that pulls weights
 * towards it; it starts at many scales and keeps the best.
 */
export const admmQuantization = defineWeightQuantizer({
  name: 'admm-quantization',
  summary: 'Projects weights on zero and a few powers of two times the scale that fits best.',
  paper: {
    title: 'Extremely Low Bit Neural Network: Squeeze the Last Bit Out with ADMM',
    authors: 'Leng, Dou, Li, Zhu, Jin',
    venue: 'AAAI',
    year: 2018,
    arxiv: '1707.09870',
  },
  granularity: 'tensor',
  options: {
    powers: z
      .number()
      .int()
      .min(1)
      .max(8)
      .default(3)
      .describe('powers of two beside zero: 1 for {0, ±1}, 2 for {0, ±1, ±2}, 3 for {0, ±1, ±2, ±4}'),
  },
  precision: 'powers',
  // Equations 13 to 15: min over α and Q of ‖V - α Q‖², by turns Q = nearest(V / α) and α = V·Q / Q·Q: [n] -> codes [n].
  quantize(weights, { powers }) {
    const nearest = (value: number) => {
      const power = nearestPower(value, 0, powers - 1)
      return power === undefined ? 0 : Math.sign(value) * 2 ** power
    }
    const scale = fitScale(weights, nearest, 2 ** (powers - 1))
    return { codes: Int16Array.from(weights, (weight) => nearest(weight / scale)), scale }
  },
})
