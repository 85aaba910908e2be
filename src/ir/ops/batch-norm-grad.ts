import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { forEachChannel } from '../families/channels.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { float } from '../draft.ts'
import { floatAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'

/**
 * The gradient of BatchNormTrain: dy, x [batch, channels, ...spatial], scale, mean, variance [channels]
 * -> dx, dscale, dbias. Attribute: epsilon. With count = batch * spatial, inverse = 1 / sqrt(variance + epsilon) and
 * n = (x - mean) * inverse: dbias = sum dy, dscale = sum dy * n, dx = scale * inverse * (dy - (dbias + n * dscale) / count).
 * It has no gradient of its own.
 */
export const batchNormGrad = defineOperator({
  type: 'BatchNormGrad',
  domain: 'espalier',
  since: 1,
  summary: 'Carries the gradient of a batch normalization in training back to its input, scale and bias.',
  infer: ({ inputs: [, x, scale] }) => [x, scale, scale],
  evaluate: ({ node, inputs }) => {
    const [dy, x, scale, mean, variance] = inputs.map((input) => toNumbers(input!))
    const { shape, dtype } = inputs[1]!
    const channels = scale.length
    const count = x.length / channels
    const epsilon = floatAttribute(node, 'epsilon', 1e-5)
    const inverse = Float64Array.from(variance, (value) => 1 / Math.sqrt(value + epsilon))
    const [dScale, dBias] = [new Float64Array(channels), new Float64Array(channels)]
    forEachChannel(shape, (i, c) => {
      dBias[c] += dy[i]
      dScale[c] += dy[i] * (x[i] - mean[c]) * inverse[c]
    })
    const dx = new Float64Array(x.length)
    forEachChannel(shape, (i, c) => {
      const normal = (x[i] - mean[c]) * inverse[c]
      dx[i] = scale[c] * inverse[c] * (dy[i] - (dBias[c] + normal * dScale[c]) / count)
    })
    const perChannel = (values: Float64Array) => fromNumbers(dtype, inputs[2]!.shape, values)
    return [fromNumbers(dtype, shape, dx), perChannel(dScale), perChannel(dBias)]
  },
  samples: [
    {
      name: 'images',
      inputs: [noise(1, [3, 2, 3, 3]), noise(2, [3, 2, 3, 3]), noise(3, [2]), noise(4, [2]), positiveNoise(5, [2])],
      outputs: 3,
    },
    {
      name: 'features, epsilon',
      inputs: [noise(1, [5, 3]), noise(2, [5, 3]), noise(3, [3]), noise(4, [3]), positiveNoise(5, [3])],
      attributes: { epsilon: float(0.01) },
      outputs: 3,
    },
  ],
})
