import { fromNumbers } from '../../tensor/elements.ts'
import { required } from '../families/axes.ts'
import { axisTies } from '../families/broadcast.ts'
import { logSoftmaxOf, softmaxAxis } from '../families/softmax.ts'
import { spread } from '../families/samples.ts'
import { int64 } from '../../tensor/tensor.ts'
import { defineOperator } from '../operator.ts'

export const logSoftmax = defineOperator({
  type: 'LogSoftmax',
  since: 13,
  summary: 'Takes the logarithm of the softmax along `axis`, without overflow.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: (context) => {
    const x = required(context, 0)
    return [fromNumbers(x.dtype, x.shape, logSoftmaxOf(x, softmaxAxis(context.node, x.shape.length)))]
  },
  /** dy - exp(y) sum(dy). */
  gradient: ({ node, outputs: [y], outputGradients: [dy], emit, literal, shape }) => {
    const axes = literal(int64([softmaxAxis(node, shape(y).length)]))
    const total = emit('ReduceSum', [dy, axes], { keepdims: 1 })
    return [emit('Sub', [dy, emit('Mul', [emit('Exp', [y]), total])])]
  },
  coupling: (context) =>
    axisTies(context, (axis) => axis !== softmaxAxis(context.node, context.inputs[0]!.shape.length)),
  samples: [
    { name: 'classes', inputs: [spread([3, 5], -3, 3)] },
    { name: 'inner axis', inputs: [spread([2, 3, 2], -3, 3)], attributes: { axis: 1 } },
  ],
})
