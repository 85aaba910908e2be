import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { intAttribute, stringAttribute, type Node } from '../model.ts'
import { defineOperator, type GradientContext } from '../operator.ts'
import { classIndex, labelWeights, logSoftmaxClasses, lossDivisor } from '../families/losses.ts'

/**
 * -log softmax(scores)[label], weighted by class and reduced: scores [batch, classes, ...positions], labels [batch,
 * ...positions], weights [classes] -> loss (a scalar unless reduction is 'none'), and on demand log softmax of scores.
 * Its gradient is an `espalier.SoftmaxCrossEntropyGrad`, plus what reaches the scores through the second output.
 */
export const softmaxCrossEntropyLoss = defineOperator({
  type: 'SoftmaxCrossEntropyLoss',
  since: 13,
  summary: 'Measures by how many nats the softmax of the scores misses the labels.',
  infer: ({ node, inputs: [scores, labels] }) => {
    if (!scores) return [undefined]
    const none = stringAttribute(node, 'reduction', 'mean') === 'none'
    const loss = { dtype: scores.dtype, shape: none ? labels?.shape : [] }
    return node.outputs.length > 1 ? [loss, scores] : [loss]
  },
  evaluate: ({ node, inputs: [scores, labels, classWeights] }) => {
    const log = logSoftmaxClasses(toNumbers(scores!), scores!.shape)
    const targets = toNumbers(labels!)
    const weights = labelWeights(node, targets, classWeights && toNumbers(classWeights))
    const losses = weights.map((weight, i) =>
      weight === 0 ? 0 : -weight * log[classIndex(scores!.shape, i, targets[i])],
    )
    const total = losses.reduce((sum, value) => sum + value, 0) / lossDivisor(node, weights)
    const loss =
      stringAttribute(node, 'reduction', 'mean') === 'none'
        ? fromNumbers(scores!.dtype, labels!.shape, losses)
        : fromNumbers(scores!.dtype, [], Float64Array.of(total))
    return node.outputs.length > 1 ? [loss, fromNumbers(scores!.dtype, scores!.shape, log)] : [loss]
  },
  gradient: (context) => {
    const { node, inputs, outputGradients, emit } = context
    const [scores, labels, weights] = inputs
    const [dLoss, dLog] = outputGradients
    const attributes = lossAttributes(node)
    const byLoss =
      dLoss &&
      emit('espalier.SoftmaxCrossEntropyGrad', [dLoss, scores, labels, ...(weights ? [weights] : [])], attributes)
    const byLog = dLog && logSoftmaxGradient(context, scores!, dLog)
    return [byLoss && byLog ? emit('Add', [byLoss, byLog]) : (byLoss ?? byLog)]
  },
  samples: [
    { name: 'mean', inputs: [noise(1, [4, 5]), int64([1, 0, 4, 2])] },
    { name: 'sum', inputs: [noise(1, [4, 5]), int64([1, 0, 4, 2])], attributes: { reduction: 'sum' } },
    {
      name: 'weights, one class ignored, none',
      inputs: [noise(1, [4, 5]), int64([1, 0, 4, 2]), positiveNoise(2, [5])],
      attributes: { reduction: 'none', ignore_index: 4 },
      gradientOf: [0],
    },
    {
      name: 'weighted mean over positions, with log probabilities',
      inputs: [noise(1, [2, 3, 4]), int64([0, 1, 2, 0, 2, 1, 0, 1], [2, 4]), positiveNoise(2, [3])],
      attributes: { ignore_index: 1 },
      outputs: 2,
      gradientOf: [0],
    },
  ],
})

/** reduction and ignore_index, as the gradient operator takes them over. */
function lossAttributes(node: Node): Record<string, string | number> {
  const reduction = stringAttribute(node, 'reduction', 'mean')
  return node.attributes.ignore_index
    ? { reduction, ignore_index: intAttribute(node, 'ignore_index', 0) }
    : { reduction }
}

/** dx = d - softmax(x) * sum over classes of d */
function logSoftmaxGradient({ emit, literal }: GradientContext, scores: string, gradient: string): string {
  const sum = emit('ReduceSum', [gradient, literal(int64([1]))], { keepdims: 1 })
  return emit('Sub', [gradient, emit('Mul', [emit('Softmax', [scores], { axis: 1 }), sum])])
}
