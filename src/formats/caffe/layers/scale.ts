import { defineCaffeLayer, unsupported } from '../layer.ts'
import { imageShape } from './convolution.ts'

/** A factor and a shift for each channel, [N, C, H, W] -> [N, C, H, W]: a convolution of one weight a channel. */
export const scale = defineCaffeLayer({
  type: 'Scale',
  options: 'scale_param',
  ignored: ['filler', 'bias_filler'],
  build(context) {
    const { options, inputs, emit, parameters } = context
    const [batch, channels, ...size] = imageShape(context)
    if ((options.integer('axis') ?? 1) !== 1 || (options.integer('num_axes') ?? 1) !== 1)
      throw unsupported(context, 'scales along another axis', 'Only axis 1 is supported.')
    if (!(options.flag('bias_term') ?? false))
      throw unsupported(context, 'has no bias', 'The file with the weights has room for the biases of every layer.')
    const value = emit('Conv', [inputs[0].value, ...parameters([channels, 1, 1, 1])], {
      kernel_shape: [1, 1],
      ...(channels > 1 ? { group: channels } : {}),
    })
    return { value, shape: [batch, channels, ...size] }
  },
})
