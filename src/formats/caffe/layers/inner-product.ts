import { elementCount } from '../../../tensor/tensor.ts'
import { defineCaffeLayer, unsupported } from '../layer.ts'
import { checkBias } from './convolution.ts'

/** [N, ...] -> [N, out], with weights [out, in]: all that lies behind the batch is flattened. */
export const innerProduct = defineCaffeLayer({
  type: 'InnerProduct',
  options: 'inner_product_param',
  ignored: ['weight_filler', 'bias_filler'],
  build(context) {
    const { layer, options, draft, emit, parameters } = context
    const [{ value, shape }] = context.inputs
    const outputs = options.integer('num_output', 1)
    if (outputs === undefined) throw unsupported(context, 'has no num_output', 'Check the prototxt.')
    if ((options.integer('axis') ?? 1) !== 1 || (options.flag('transpose') ?? false) || shape.length < 2)
      throw unsupported(context, 'multiplies along another axis', 'Only axis 1 without transpose is supported.')
    checkBias(context)
    const flat = shape.length === 2 ? value : draft.add('Flatten', [value], {}, { name: `${layer.name}.flat` })
    const product = emit('Gemm', [flat, ...parameters([outputs, elementCount(shape.slice(1))])], { transB: 1 })
    return { value: product, shape: [shape[0], outputs] }
  },
})
