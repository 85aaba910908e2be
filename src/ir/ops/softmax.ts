import { fromNumbers } from '../../tensor/elements.ts'
import { required } from '../families/axes.ts'
import { axisTies } from '../families/broadcast.ts'
import { logSoftmaxOf, softmaxAxis } from '../families/softmax.ts'
import { spread } from '../families/samples.ts'
import { int64 } from '../../tensor/tensor.ts'
import { defineOperator } from '../operator.ts'

export const softmax = defineOperator({
  type: 'Softmax',
  since: 13,
  summary: 'Exponentiates and divides by the sum along `axis`.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: (context) => {
    const x = required(context, 0)
    return [fromNumbers(x.dtype, x.shape, logSoftmaxOf(x, softmaxAxis(context.node, x.shape.length)).map(Math.exp))]
  },
  /** y (dy - sum(dy y)). */
  gradient: ({ node, outputs: [y], outputGradients: [dy], emit, literal, shape }) => {
    const axes = literal(int64([softmaxAxis(node, shape(y).length)]))
    const product = emit('Mul', [dy, y])
    const total = emit('ReduceSum', [product, axes], { keepdims: 1 })
    return [emit('Sub', [product, emit('Mul', [y, total])])]
  },
  coupling: (context) =>
    axisTies(context, (axis) => axis !== softmaxAxis(context.node, context.inputs[0]!.shape.length)),
  samples: [
    { name: 'classes', inputs: [spread([3, 5], -3, 3)] },
    { name: 'inner axis', inputs: [spread([2, 3, 2], -3, 3)], attributes: { axis: 1 } },
    { name: 'large', inputs: [spread([2, 3], 80, 120)], attributes: { axis: -1 } },
  ],
})
