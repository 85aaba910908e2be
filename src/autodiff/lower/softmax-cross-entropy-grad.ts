import { elementType } from '../../ir/element-type.ts'
import { intAttribute, stringAttribute } from '../../ir/model.ts'
import { fromNumbers } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import type { Formulation } from './formulation.ts'

/** dscores = factor * (softmax(scores) - onehot(labels)), factor = dloss * weight / divisor for each label. */
const softmaxMinusOneHot: Formulation = {
  name: 'softmax-minus-one-hot',
  applies: () => true,
  write({ node, inputs: [dLoss, scores, labels, weights], shape, dtype, emit, literal }) {
    const [batch, classes, ...positions] = shape(scores!)
    const reduction = stringAttribute(node, 'reduction', 'mean')
    const numbers = { to: elementType(dtype(scores!)) }
    const axis = literal(int64([1]))
    const indices = fromNumbers(
      dtype(labels!),
      [1, classes, ...positions.map(() => 1)],
      Float64Array.from({ length: classes }, (_, c) => c),
    )
    const hits = emit('Equal', [emit('Unsqueeze', [labels, axis]), literal(indices)])
    const difference = emit('Sub', [emit('Softmax', [scores], { axis: 1 }), emit('Cast', [hits], numbers)])

    const ignored = node.attributes.ignore_index && literal(intAttribute(node, 'ignore_index', 0), labels)
    const skip = ignored && emit('Equal', [labels, ignored])
    const safe = skip ? emit('Where', [skip, literal(0, labels), labels]) : labels
    const one = literal(1, scores)
    const plain = weights ? emit('Gather', [weights, safe]) : undefined
    const weight = skip ? emit('Where', [skip, literal(0, scores), plain ?? one]) : plain
    let factor = dLoss!
    if (weight !== undefined) factor = emit('Mul', [factor, weight])
    if (reduction === 'mean') {
      const count = batch * positions.reduce((product, size) => product * size, 1)
      const total = weight === undefined ? literal(count, scores) : emit('ReduceSum', [weight], { keepdims: 0 })
      factor = emit('Div', [factor, total])
    }
    const perLabel = shape(factor).length === 0 ? factor : emit('Unsqueeze', [factor, axis])
    return [emit('Mul', [difference, perLabel])]
  },
}

export const softmaxCrossEntropyGrad: readonly Formulation[] = [softmaxMinusOneHot]
