import { float } from '../../../ir/draft.ts'
import { defineCaffeLayer, unsupported } from '../layer.ts'
import { imageShape } from './convolution.ts'

/** Local response normalization across channels: x / (k + alpha / size * sum of squares)^beta. */
export const lrn = defineCaffeLayer({
  type: 'LRN',
  options: 'lrn_param',
  ignored: ['engine'],
  build(context) {
    const { options, inputs, emit } = context
    imageShape(context)
    const region = options.text('norm_region') ?? 'ACROSS_CHANNELS'
    const size = options.integer('local_size', 1) ?? 5
    if ((region !== 'ACROSS_CHANNELS' && region !== '0') || size % 2 === 0)
      throw unsupported(
        context,
        `normalizes over ${size} of ${region}`,
        'Only ACROSS_CHANNELS over an odd number of channels is supported.',
      )
    const value = emit('LRN', [inputs[0].value], {
      size,
      alpha: float(options.number('alpha') ?? 1),
      beta: float(options.number('beta') ?? 0.75),
      bias: float(options.number('k') ?? 1),
    })
    return { value, shape: inputs[0].shape }
  },
})

/** Its mean, variance and their scale are three blobs. Files that store a weight and a bias a layer have no room for them. */
export const batchNorm = defineCaffeLayer({
  type: 'BatchNorm',
  options: 'batch_norm_param',
  build(context) {
    throw unsupported(
      context,
      'is a batch normalization, for whose mean and variance the file with the weights has no room',
      'Fold it into the convolution before it.',
    )
  },
})
