import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { channelStatistics, normalizeChannels } from '../families/channels.ts'
import { noise } from '../families/noise.ts'
import { float } from '../draft.ts'
import { floatAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { batchNormGradients } from './batch-normalization.ts'

/**
 * Batch normalization by the batch's own statistics: x [batch, channels, ...spatial], scale and bias [channels]
 * -> y of x's shape, mean and biased variance [channels]. Attribute: epsilon.
 * Its gradient is an `espalier.BatchNormGrad`, plus what reaches x through mean and variance where the loss needs them.
 */
export const batchNormTrain = defineOperator({
  type: 'BatchNormTrain',
  domain: 'espalier',
  since: 1,
  summary: 'Normalizes each channel by the mean and variance of the batch and returns both.',
  parameters: [1, 2],
  infer: ({ inputs: [x, scale, bias] }) => {
    const perChannel = scale ?? bias
    return [x, perChannel, perChannel]
  },
  evaluate: ({ node, inputs }) => {
    const [x, scale, bias] = inputs.map((input) => toNumbers(input!))
    const { shape, dtype } = inputs[0]!
    const statistics = channelStatistics(x, shape)
    const y = normalizeChannels(x, shape, statistics, scale, bias, floatAttribute(node, 'epsilon', 1e-5))
    const perChannel = (values: Float64Array) => fromNumbers(dtype, inputs[1]!.shape, values)
    return [fromNumbers(dtype, shape, y), perChannel(statistics.mean), perChannel(statistics.variance)]
  },
  gradient: (context) => {
    const epsilon = float(floatAttribute(context.node, 'epsilon', 1e-5))
    return batchNormGradients(context, context.outputGradients, context.outputs[1], context.outputs[2], epsilon)
  },
  samples: [
    { name: 'images', inputs: [noise(1, [3, 2, 3, 3]), noise(2, [2]), noise(3, [2])], outputs: 3 },
    {
      name: 'features, epsilon',
      inputs: [noise(1, [5, 3]), noise(2, [3]), noise(3, [3])],
      attributes: { epsilon: float(0.01) },
      outputs: 3,
    },
  ],
})
