import { z } from 'zod'
import { extremelyLowBitNeuralNetwork } from '../../../paper.ts'
import { nearestAmongPowers } from '../../../tensor/powers-of-two.ts'
import { alternateDirections, alternatingOptions, valuesOf, withValues, type Values } from '../../admm.ts'
import { retrainHolding } from '../../held-weights.ts'
import { masksOfZeros } from '../../masks.ts'
import { finishOption } from '../../retraining.ts'
import { defineWeightQuantizer } from './family/family.ts'
import { fitScale } from './family/fit-scale.ts'

/**
 * Trains towards weights of the form α · {0, ±1, ±2, ..., ±2^N}, one α a layer or a filter: in turns the weights learn
 * with a pull towards such a point, by the extra-gradient method; the point becomes the nearest to weights and dual,
 * with the scale of least squared error; and the dual sums up how far both are apart. It starts from the network at
 * hand, without data it only projects. At the end the weights are projected, and biases and normalization, whose
 * statistics were those of other weights, are trained around the codes.
 *
 * Differs from the paper: the projection starts at many scales and keeps the best, the pull ρ may grow from iteration
 * to iteration, and the rule of the update is the recipe's where it has one.
 */
export const admmQuantization = defineWeightQuantizer({
  name: 'admm-quantization',
  summary: 'Pulls weights, while they train, towards zero and a few powers of two times the scale that fits best.',
  paper: extremelyLowBitNeuralNetwork,
  granularity: 'tensor',
  options: {
    powers: z
      .number()
      .int()
      .min(1)
      .max(8)
      .default(3)
      .describe('powers of two beside zero: 1 for {0, ±1}, 2 for {0, ±1, ±2}, 3 for {0, ±1, ±2, ±4}'),
    ...alternatingOptions({ growth: 1.5, iterations: 8 }),
    finish: finishOption,
  },
  whole: ['rho', 'growth', 'dual', 'iterations', 'finish'],
  precision: 'powers',
  // The projection step: min over α and Q of ‖V - α Q‖², by turns Q = nearest(V / α) and α = V·Q / Q·Q: [n] -> codes
  // [n].
  quantize(weights, { powers }) {
    const nearest = (value: number) => nearestAmongPowers(value, 0, powers - 1)
    const scale = fitScale(weights, nearest, 2 ** (powers - 1))
    return { codes: Int16Array.from(weights, (weight) => nearest(weight / scale)), scale }
  },
  async training({ model, layers, options, settings, context, project }) {
    const { rho, growth, dual, iterations, finish } = options
    const pulled = { optimizer: context.training?.optimizer ?? ('extra-gradient' as const), ...settings }
    const names = layers.map(({ layer }) => layer.weight)
    const pruned = masksOfZeros(model)
    const nearest = (values: Values) =>
      new Map(layers.map((one) => [one.layer.weight, project(one, values.get(one.layer.weight)!)]))
    const trained = await alternateDirections({
      model,
      names,
      rho,
      growth,
      dual,
      iterations,
      project: nearest,
      train: (current, pull, iteration) => {
        const label = `pull ${iteration}/${iterations}`
        return retrainHolding(current, pruned, pulled, context, label, { penalties: [pull] })
      },
    })
    const projected = withValues(trained, nearest(valuesOf(trained, names)))
    if (finish === false) return projected
    const held = [...valuesOf(projected, names)].map(([name, values]) => [name, values.map(() => 0)] as const)
    const masks = new Map([...pruned, ...held])
    return retrainHolding(projected, masks, { ...settings, ...finish }, context, 'finish')
  },
})
