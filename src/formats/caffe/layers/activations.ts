import { float } from '../../../ir/draft.ts'
import { axisOf, defineCaffeLayer, type CaffeLayerType } from '../layer.ts'

export const relu = defineCaffeLayer({
  type: 'ReLU',
  options: 'relu_param',
  ignored: ['engine'],
  build({ options, inputs: [{ value, shape }], emit }) {
    const slope = options.number('negative_slope') ?? 0
    return { value: slope === 0 ? emit('Relu', [value]) : emit('LeakyRelu', [value], { alpha: float(slope) }), shape }
  },
})

export const softmax = defineCaffeLayer({
  type: 'Softmax',
  options: 'softmax_param',
  ignored: ['engine'],
  build(context) {
    const [{ value, shape }] = context.inputs
    const axis = axisOf(context, context.options.number('axis') ?? 1, shape.length)
    return { value: context.emit('Softmax', [value], { axis }), shape }
  },
})

/** An operator of ONNX that does to each element what the layer does. */
function elementwise(type: string, op: string, options: string): CaffeLayerType {
  return defineCaffeLayer({
    type,
    options,
    ignored: ['engine'],
    build: ({ inputs: [{ value, shape }], emit }) => ({ value: emit(op, [value]), shape }),
  })
}

export const sigmoid = elementwise('Sigmoid', 'Sigmoid', 'sigmoid_param')
export const tanh = elementwise('TanH', 'Tanh', 'tanh_param')
export const absval = elementwise('AbsVal', 'Abs', 'absval_param')

/** Does nothing when nothing is trained: training divides by the share that is kept. */
export const dropout = defineCaffeLayer({
  type: 'Dropout',
  options: 'dropout_param',
  ignored: ['dropout_ratio'],
  build: ({ inputs: [blob] }) => blob,
})

/** Several names for one blob. */
export const split = defineCaffeLayer({ type: 'Split', build: ({ inputs: [blob] }) => blob })
