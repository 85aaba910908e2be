import { float } from '../../ir/draft.ts'
import { axesButChannel, channelShape } from '../../ir/families/channels.ts'
import { floatAttribute } from '../../ir/model.ts'
import { int64 } from '../../tensor/tensor.ts'
import type { Formulation } from './formulation.ts'

/**
 * BatchNormalization in training mode with momentum 0 returns the batch's mean and biased variance as running ones.
 * It writes them through its inputs for the old ones, into whatever lies there: so these are scratch values, computed
 * for this node alone, and never initializers, which may be shared with equal ones or belong to the caller.
 */
const trainingMode: Formulation = {
  name: 'training-mode',
  applies: () => true,
  write({ node, inputs: [x, scale, bias], emit, emitMany, literal }) {
    const scratch = [scale, bias].map((value) => emit('Mul', [value, literal(0, value)]))
    return emitMany('BatchNormalization', [x, scale, bias, ...scratch], 3, {
      epsilon: float(floatAttribute(node, 'epsilon', 1e-5)),
      momentum: float(0),
      training_mode: 1,
    })
  },
}

/**
 * With inverse = 1 / sqrt(variance + epsilon), a = scale * inverse and count = batch * spatial, dx is affine:
 * dx = a * dy + b * x + c, where b = -a * inverse * dscale / count and c = -a * dbias / count - b * mean.
 * Sums over dy and dy * x are all that is needed besides.
 */
const affine: Formulation = {
  name: 'affine',
  applies: () => true,
  write({ node, inputs: [dy, x, scale, mean, variance], shape, emit, literal }) {
    const sizes = shape(x!)
    const count = sizes.reduce((product, size, axis) => (axis === 1 ? product : product * size), 1)
    const axes = literal(int64(axesButChannel(sizes.length)))
    const sum = (value: string) => emit('ReduceSum', [value, axes], { keepdims: 0 })
    const perChannel = (value: string) => emit('Reshape', [value, literal(int64(channelShape(sizes)))])
    const epsilon = literal(floatAttribute(node, 'epsilon', 1e-5), variance)
    const inverse = emit('Reciprocal', [emit('Sqrt', [emit('Add', [variance, epsilon])])])
    const dBias = sum(dy!)
    const moment = emit('Sub', [sum(emit('Mul', [dy!, x!])), emit('Mul', [mean, dBias])])
    const dScale = emit('Mul', [inverse, moment])
    const a = emit('Mul', [scale, inverse])
    const share = emit('Mul', [a, literal(-1 / count, x)])
    const b = emit('Mul', [emit('Mul', [share, inverse]), dScale])
    const c = emit('Sub', [emit('Mul', [share, dBias]), emit('Mul', [b, mean])])
    const ofX = emit('Add', [emit('Mul', [x, perChannel(b)]), perChannel(c)])
    return [emit('Add', [emit('Mul', [dy, perChannel(a)]), ofX]), dScale, dBias]
  },
}

export const batchNormTrain: readonly Formulation[] = [trainingMode]
export const batchNormGrad: readonly Formulation[] = [affine]
