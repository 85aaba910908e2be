import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { normalizeAxis } from '../families/axes.ts'
import { noise } from '../families/noise.ts'
import { normalizeRows, rowStatistics } from '../families/normalization.ts'
import { float } from '../draft.ts'
import { floatAttribute, intAttribute, type Dim, type Node } from '../model.ts'
import { defineOperator, type GradientContext } from '../operator.ts'

/**
 * y = scale * (x - mean) / sqrt(variance + epsilon) + bias, with mean and variance over the axes from `axis` on; scale
 * and bias broadcast to those. On demand also the mean and the inverse standard deviation, with those axes of size 1.
 */
export const layerNormalization = defineOperator({
  type: 'LayerNormalization',
  since: 17,
  summary: 'Normalizes each row by its own mean and variance, then scales and shifts it.',
  parameters: [1, 2],
  infer: ({ node, inputs: [x] }) => {
    const dtype = intAttribute(node, 'stash_type', 1) === 1 ? 'float32' : x?.dtype
    const statistics = x && dtype && { dtype, shape: x.shape && reducedShape(node, x.shape) }
    return [x, statistics, statistics].slice(0, node.outputs.length)
  },
  evaluate: ({ node, inputs: [x, scale, bias] }) => {
    const { shape, dtype } = x!
    const size = elementCount(shape.slice(axisOf(node, shape.length)))
    const values = toNumbers(x!)
    const statistics = rowStatistics(values, size, floatAttribute(node, 'epsilon', 1e-5))
    const [gain, shift] = [toNumbers(scale!), bias && toNumbers(bias)]
    const y = normalizeRows(values, size, statistics).map(
      (value, i) => value * gain[(i % size) % gain.length] + (shift ? shift[(i % size) % shift.length] : 0),
    )
    const stash = dtype === 'float64' ? 'float64' : 'float32'
    const reduced = reducedShape(node, shape)
    return [
      fromNumbers(dtype, shape, y),
      fromNumbers(stash, reduced, statistics.mean),
      fromNumbers(stash, reduced, statistics.inverse),
    ].slice(0, node.outputs.length)
  },
  gradient,
  coupling: ({ node, inputs: [x], outputs }) =>
    x!.shape.slice(0, axisOf(node, x!.shape.length)).map((_, axis) => ({
      ports: [
        { side: 'input', index: 0, axis },
        ...outputs.map((_, index) => ({ side: 'output' as const, index, axis })),
      ],
    })),
  samples: [
    { name: 'last axis', inputs: [noise(1, [2, 3, 4]), noise(2, [4]), noise(3, [4])] },
    {
      name: 'two axes, no bias',
      inputs: [noise(1, [2, 3, 4]), noise(2, [3, 4])],
      attributes: { axis: 1, epsilon: float(0.01) },
    },
    {
      name: 'with statistics',
      inputs: [noise(1, [2, 3, 4]), noise(2, [4]), noise(3, [4])],
      attributes: { axis: -1 },
      outputs: 3,
    },
  ],
})

function axisOf(node: Node, rank: number): number {
  return normalizeAxis(intAttribute(node, 'axis', -1), rank, node)
}

function reducedShape<D extends Dim>(node: Node, shape: readonly D[]): D[] {
  const first = axisOf(node, shape.length)
  return shape.map((size, axis) => (axis < first ? size : (1 as D)))
}

/**
 * With n = (x - mean) * inverse and dn = dy * scale: dx = inverse * (dn - mean(dn) - n * mean(dn * n)), and what comes
 * through the outputs mean and inverse: dmean / size - dinverse * inverse^2 * n / size.
 */
function gradient(context: GradientContext): (string | undefined)[] {
  const { node, inputs, outputGradients, wants, shape, emit, literal, unbroadcast } = context
  const [x, scale, bias] = inputs as [string, string, string | undefined]
  const [dy, dMean, dInverse] = outputGradients
  const first = axisOf(node, shape(x).length)
  const axes = literal(int64(shape(x).flatMap((_, axis) => (axis < first ? [] : [axis]))))
  const size = elementCount(shape(x).slice(first))
  const mean = (value: string) => emit('ReduceMean', [value, axes], { keepdims: 1 })
  const centred = emit('Sub', [x, mean(x)])
  const variance = mean(emit('Mul', [centred, centred]))
  const epsilon = literal(floatAttribute(node, 'epsilon', 1e-5), x)
  const inverse = emit('Reciprocal', [emit('Sqrt', [emit('Add', [variance, epsilon])])])
  const normal = emit('Mul', [centred, inverse])
  const parts: string[] = []
  if (wants(0) && dy !== undefined) {
    const dNormal = emit('Mul', [dy, scale])
    const along = emit('Mul', [normal, mean(emit('Mul', [dNormal, normal]))])
    parts.push(emit('Mul', [inverse, emit('Sub', [emit('Sub', [dNormal, mean(dNormal)]), along])]))
  }
  if (wants(0) && dInverse !== undefined) {
    const slope = emit('Mul', [emit('Mul', [dInverse, literal(-1 / size, x)]), emit('Mul', [inverse, inverse])])
    parts.push(emit('Mul', [normal, slope]))
  }
  if (wants(0) && dMean !== undefined) {
    const share = emit('Mul', [dMean, literal(1 / size, x)])
    parts.push(emit('Expand', [share, literal(int64([...shape(x)]))]))
  }
  return [
    parts.length > 0 ? parts.reduce((sum, part) => emit('Add', [sum, part])) : undefined,
    wants(1) && dy !== undefined ? unbroadcast(emit('Mul', [dy, normal]), shape(scale)) : undefined,
    bias !== undefined && wants(2) && dy !== undefined ? unbroadcast(dy, shape(bias)) : undefined,
  ]
}
