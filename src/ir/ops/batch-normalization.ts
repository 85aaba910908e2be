import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { axesButChannel, channelShape, channelStatistics, normalizeChannels } from '../families/channels.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { float } from '../draft.ts'
import { floatAttribute, intAttribute } from '../model.ts'
import { defineOperator, type ChannelPort, type GradientContext } from '../operator.ts'

/**
 * y = scale * (x - mean) / sqrt(variance + epsilon) + bias for each channel of x [batch, channels, ...spatial]; the
 * other inputs are [channels]. In training_mode mean and biased variance are those of the batch, and outputs 1 and 2
 * are the running ones: old * momentum + batch's * (1 - momentum).
 * In training mode the gradient computes the batch's statistics by an `espalier.BatchNormTrain` and hands them to an
 * `espalier.BatchNormGrad`; a graph that is to be trained should use BatchNormTrain in its forward part as well.
 */
export const batchNormalization = defineOperator({
  type: 'BatchNormalization',
  since: 15,
  summary: 'Normalizes each channel by its mean and variance, then scales and shifts it.',
  parameters: [1, 2, 3, 4],
  infer: ({ node, inputs: [x, , , mean, variance] }) =>
    intAttribute(node, 'training_mode', 0) ? [x, mean, variance].slice(0, node.outputs.length) : [x],
  evaluate: ({ node, inputs }) => {
    const [x, scale, bias, mean, variance] = inputs.map((input) => toNumbers(input!))
    const { shape, dtype } = inputs[0]!
    const epsilon = floatAttribute(node, 'epsilon', 1e-5)
    if (!intAttribute(node, 'training_mode', 0))
      return [fromNumbers(dtype, shape, normalizeChannels(x, shape, { mean, variance }, scale, bias, epsilon))]
    const batch = channelStatistics(x, shape)
    const momentum = floatAttribute(node, 'momentum', 0.9)
    const mix = (index: number, old: Float32Array | Float64Array, current: Float64Array) =>
      fromNumbers(
        inputs[index]!.dtype,
        inputs[index]!.shape,
        current.map((value, c) => old[c] * momentum + value * (1 - momentum)),
      )
    const y = fromNumbers(dtype, shape, normalizeChannels(x, shape, batch, scale, bias, epsilon))
    return [y, mix(3, mean, batch.mean), mix(4, variance, batch.variance)].slice(0, node.outputs.length)
  },
  gradient: (context) =>
    intAttribute(context.node, 'training_mode', 0) ? trainingGradient(context) : inferenceGradient(context),
  coupling: ({ inputs, outputs }) => {
    const read = inputs.map((_, index): ChannelPort => ({ side: 'input', index, axis: index === 0 ? 1 : 0 }))
    const made = outputs.map((_, index): ChannelPort => ({ side: 'output', index, axis: index === 0 ? 1 : 0 }))
    return [{ ports: [...read, ...made] }]
  },
  samples: [
    {
      name: 'inference',
      inputs: [noise(1, [2, 3, 3, 2]), noise(2, [3]), noise(3, [3]), noise(4, [3]), positiveNoise(5, [3])],
    },
    {
      name: 'inference, one-dimensional, epsilon',
      inputs: [noise(1, [2, 3, 4]), noise(2, [3]), noise(3, [3]), noise(4, [3]), positiveNoise(5, [3])],
      attributes: { epsilon: float(0.01) },
    },
    {
      name: 'inference of features',
      inputs: [noise(1, [4, 3]), noise(2, [3]), noise(3, [3]), noise(4, [3]), positiveNoise(5, [3])],
    },
    {
      name: 'training',
      inputs: [noise(1, [3, 2, 3, 3]), noise(2, [2]), noise(3, [2]), noise(4, [2]), positiveNoise(5, [2])],
      attributes: { training_mode: 1, momentum: float(0.75) },
      outputs: 3,
      gradientOf: [0, 1, 2],
    },
  ],
})

function trainingGradient(context: GradientContext): (string | undefined)[] {
  const { node, inputs, outputGradients, emitMany, emit, literal } = context
  const [x, scale, bias] = inputs
  const epsilon = float(floatAttribute(node, 'epsilon', 1e-5))
  const momentum = floatAttribute(node, 'momentum', 0.9)
  const [, mean, variance] = emitMany('espalier.BatchNormTrain', [x, scale, bias], 3, { epsilon })
  const scaled = (gradient: string | undefined, factor: number) =>
    gradient === undefined ? undefined : emit('Mul', [gradient, literal(factor, gradient)])
  const batch = outputGradients.slice(1).map((gradient) => scaled(gradient, 1 - momentum))
  const running = outputGradients.slice(1).map((gradient) => scaled(gradient, momentum))
  const own = batchNormGradients(context, [outputGradients[0], ...batch], mean, variance, epsilon)
  return [...own, running[0], running[1]]
}

/** The gradients by x, scale and bias of a normalization by the batch's statistics; shared with BatchNormTrain. */
export function batchNormGradients(
  { inputs, wants, shape, emit, emitMany, literal }: GradientContext,
  [dy, dMean, dVariance]: readonly (string | undefined)[],
  mean: string,
  variance: string,
  epsilon: ReturnType<typeof float>,
): (string | undefined)[] {
  const [x, scale] = inputs as [string, string]
  const result: (string | undefined)[] =
    dy === undefined
      ? [undefined, undefined, undefined]
      : [...emitMany('espalier.BatchNormGrad', [dy, x, scale, mean, variance], 3, { epsilon })]
  if (!wants(0) || (dMean === undefined && dVariance === undefined)) return result
  const count = shape(x).reduce((product, size, axis) => (axis === 1 ? product : product * size), 1)
  const perChannel = (value: string) => emit('Reshape', [value, literal(int64(channelShape(shape(x))))])
  const add = (value: string) => {
    result[0] = result[0] === undefined ? value : emit('Add', [result[0], value])
  }
  if (dVariance !== undefined) {
    const weight = perChannel(emit('Mul', [dVariance, literal(2 / count, x)]))
    add(emit('Mul', [emit('Sub', [x, perChannel(mean)]), weight]))
  }
  if (dMean !== undefined) {
    const weight = perChannel(emit('Mul', [dMean, literal(1 / count, x)]))
    add(result[0] === undefined ? emit('Expand', [weight, literal(int64([...shape(x)]))]) : weight)
  }
  return result
}

/** With inverse = 1 / sqrt(variance + epsilon), y = scale * inverse * (x - mean) + bias is affine in x. */
function inferenceGradient(context: GradientContext): (string | undefined)[] {
  const { node, inputs, outputGradients, wants, shape, emit, literal } = context
  const [x, scale, , mean, variance] = inputs as [string, string, string, string, string]
  const dy = outputGradients[0]!
  const perChannel = (value: string) => emit('Reshape', [value, literal(int64(channelShape(shape(x))))])
  const sum = (value: string) =>
    emit('ReduceSum', [value, literal(int64(axesButChannel(shape(x).length)))], { keepdims: 0 })
  const epsilon = literal(floatAttribute(node, 'epsilon', 1e-5), variance)
  const inverse = emit('Reciprocal', [emit('Sqrt', [emit('Add', [variance, epsilon])])])
  const gain = emit('Mul', [scale, inverse])
  const dBias = wants(2) || wants(3) ? sum(dy) : undefined
  const dScale =
    wants(1) || wants(4)
      ? emit('Mul', [sum(emit('Mul', [dy, emit('Sub', [x, perChannel(mean)])])), inverse])
      : undefined
  return [
    wants(0) ? emit('Mul', [dy, perChannel(gain)]) : undefined,
    wants(1) ? dScale : undefined,
    wants(2) ? dBias : undefined,
    wants(3) ? emit('Neg', [emit('Mul', [dBias, gain])]) : undefined,
    wants(4) ? varianceGradient() : undefined,
  ]

  /** d inverse / d variance = -inverse^3 / 2 */
  function varianceGradient(): string {
    const slope = emit('Mul', [gain, emit('Mul', [inverse, literal(-0.5, x)])])
    return emit('Mul', [dScale, slope])
  }
}
