import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { elementType } from '../element-type.ts'
import { classIndex, labelWeights, lossDivisor } from '../families/losses.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { intAttribute, stringAttribute } from '../model.ts'
import { defineOperator, type GradientContext } from '../operator.ts'

/**
 * -x[label], weighted by class and reduced: x [batch, classes, ...positions] (log probabilities), labels [batch,
 * ...positions], weights [classes] -> loss, a scalar unless reduction is 'none'.
 */
export const negativeLogLikelihoodLoss = defineOperator({
  type: 'NegativeLogLikelihoodLoss',
  since: 13,
  summary: 'Sums or averages the log probabilities that the labels got, negated.',
  infer: ({ node, inputs: [x, labels] }) => {
    const none = stringAttribute(node, 'reduction', 'mean') === 'none'
    return [x && { dtype: x.dtype, shape: none ? labels?.shape : [] }]
  },
  evaluate: ({ node, inputs: [x, labels, classWeights] }) => {
    const log = toNumbers(x!)
    const targets = toNumbers(labels!)
    const weights = labelWeights(node, targets, classWeights && toNumbers(classWeights))
    const losses = weights.map((weight, i) => (weight === 0 ? 0 : -weight * log[classIndex(x!.shape, i, targets[i])]))
    if (stringAttribute(node, 'reduction', 'mean') === 'none') return [fromNumbers(x!.dtype, labels!.shape, losses)]
    const total = losses.reduce((sum, value) => sum + value, 0) / lossDivisor(node, weights)
    return [fromNumbers(x!.dtype, [], [total])]
  },
  gradient,
  samples: [
    { name: 'mean', inputs: [noise(1, [4, 5]), int64([1, 0, 4, 2])] },
    {
      name: 'weights, one class ignored, sum over positions',
      inputs: [noise(1, [2, 3, 2]), int64([0, 1, 2, 0], [2, 2]), positiveNoise(2, [3])],
      attributes: { reduction: 'sum', ignore_index: 1 },
      gradientOf: [0],
    },
    {
      name: 'weighted mean',
      inputs: [noise(1, [3, 4]), int64([3, 0, 3]), positiveNoise(2, [4])],
      gradientOf: [0],
    },
    { name: 'none', inputs: [noise(1, [3, 4]), int64([3, 0, 3])], attributes: { reduction: 'none' } },
  ],
})

/** dx = -dloss / divisor * onehot(label) * weight, zero for ignored labels. */
function gradient(context: GradientContext): (string | undefined)[] {
  const { node, inputs, outputGradients, shape, dtype, emit, literal } = context
  const [x, labels, weights] = inputs as [string, string, string | undefined]
  const [batch, classes, ...positions] = shape(x)
  const rows = literal(int64([batch, 1, elementCount(positions)]))
  const target = emit('Reshape', [labels, rows])
  const number = (value: string) => emit('Cast', [value], { to: elementType(dtype(x)) })
  const label = (values: readonly number[], sizes: readonly number[]) =>
    literal(fromNumbers(dtype(labels), sizes, values))
  const columns = label([...Array(classes).keys()], [1, classes, 1])
  let weight = number(emit('Equal', [target, columns]))
  if (weights) weight = emit('Mul', [weight, emit('Reshape', [weights, literal(int64([1, classes, 1]))])])
  if (node.attributes.ignore_index) {
    const ignored = label([intAttribute(node, 'ignore_index', 0)], [])
    weight = emit('Mul', [weight, number(emit('Not', [emit('Equal', [target, ignored])]))])
  }
  const reduction = stringAttribute(node, 'reduction', 'mean')
  let upstream = outputGradients[0]!
  if (reduction === 'none') upstream = emit('Reshape', [upstream, rows])
  if (reduction === 'mean') upstream = emit('Div', [upstream, emit('ReduceSum', [weight], { keepdims: 0 })])
  const result = emit('Neg', [emit('Mul', [weight, upstream])])
  return [emit('Reshape', [result, literal(int64([...shape(x)]))])]
}
