import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { float32, int64 } from '../../tensor/tensor.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { classIndex, labelWeights, logSoftmaxClasses, lossDivisor } from '../families/losses.ts'
import { defineOperator } from '../operator.ts'

/**
 * The gradient of SoftmaxCrossEntropyLoss by its scores: dloss (a scalar, or [batch, ...positions] for reduction
 * 'none'), scores [batch, classes, ...positions], labels [batch, ...positions], weights [classes] (optional)
 * -> dscores = dloss * weight / divisor * (softmax(scores) - onehot(label)), where the divisor of a 'mean' is the sum of
 * the labels' weights. Attributes: reduction and, if the loss has one, ignore_index. It has no gradient of its own.
 */
export const softmaxCrossEntropyGrad = defineOperator({
  type: 'SoftmaxCrossEntropyGrad',
  domain: 'espalier',
  since: 1,
  summary: 'Carries the gradient of the softmax cross-entropy back to the scores.',
  infer: ({ inputs: [, scores] }) => [scores],
  evaluate: ({ node, inputs: [dLoss, scores, labels, classWeights] }) => {
    const { shape, dtype } = scores!
    const upstream = toNumbers(dLoss!)
    const targets = toNumbers(labels!)
    const weights = labelWeights(node, targets, classWeights && toNumbers(classWeights))
    const divisor = lossDivisor(node, weights)
    const result = logSoftmaxClasses(toNumbers(scores!), shape).map(Math.exp)
    for (let i = 0; i < targets.length; i++) {
      const factor = ((upstream.length === 1 ? upstream[0] : upstream[i]) * weights[i]) / divisor
      if (weights[i] !== 0) result[classIndex(shape, i, targets[i])] -= 1
      for (let c = 0; c < shape[1]; c++) result[classIndex(shape, i, c)] *= factor
    }
    return [fromNumbers(dtype, shape, result)]
  },
  samples: [
    { name: 'mean', inputs: [float32([1.5], []), noise(1, [4, 5]), int64([1, 0, 4, 2])] },
    {
      name: 'weights, one class ignored, none',
      inputs: [noise(3, [4]), noise(1, [4, 5]), int64([1, 0, 4, 2]), positiveNoise(2, [5])],
      attributes: { reduction: 'none', ignore_index: 4 },
    },
    {
      name: 'weighted mean over positions',
      inputs: [float32([-1], []), noise(1, [2, 3, 4]), int64([0, 1, 2, 0, 2, 1, 0, 1], [2, 4]), positiveNoise(2, [3])],
      attributes: { ignore_index: 1, reduction: 'mean' },
    },
  ],
})
