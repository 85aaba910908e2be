import { z } from 'zod'
import { intAttribute, intsAttribute } from '../../../ir/model.ts'
import { windowAttributes, windowsOf } from '../../../ir/windows.ts'
import { xnorNet } from '../../../paper.ts'
import { int64 } from '../../../tensor/tensor.ts'
import { defineActivationQuantizer, type LayerProduct } from './family/family.ts'

/**
 * Equation 11: I * W is taken to be (sign(I) * sign(W)) K α, where K holds the mean absolute input under each window;
 * α belongs to the weights (binary-weight-networks). K follows from A, the mean of |I| over the channels, by a
 * convolution with k_ij = 1 / (w h), section 3.2; a dense layer has one mean for each example. The gradient of the
 * signs passes where |x| <= 1, that of K is K's own.
 *
 * Differs from the authors' code, which leaves K out. The paper does not say whether the backward pass takes it for a
 * constant; the scale of the weights it differentiates.
 */
export const xnorActivations = defineActivationQuantizer({
  name: 'xnor-activations',
  summary: 'Lets layers read the signs of their inputs and scales the results by the mean absolute input.',
  paper: xnorNet,
  options: {
    scales: z.boolean().default(true).describe('multiply results by the maps of mean absolute inputs, K of the paper'),
  },
  activation: 'replaces',
  levels: () => 2,
  forward: ({ draft, x }) => draft.add('espalier.SignStraightThrough', [x]),
  afterLayer(product) {
    if (!product.options.scales) return product.product
    const map = product.layer.node.op === 'Conv' ? windowMeans(product) : rowMeans(product)
    return map && product.draft.add('Mul', [product.product, map])
  },
})

type Product = Pick<LayerProduct<unknown>, 'draft' | 'layer' | 'x' | 'shape'>

/** [..., inputs] -> [..., 1]: one mean for each row of the left factor. */
function rowMeans({ draft, layer: { node, input }, x }: Product): string | undefined {
  const rows = (node.op === 'Gemm' || node.op === 'MatMul') && input === 1 && intAttribute(node, 'transA', 0) === 0
  return rows ? meanAlong(draft, draft.add('Abs', [x]), -1) : undefined
}

/**
 * [N, C, ...places] -> [N, 1 or outputs, ...windows]: the mean over the channels of a group and the places of a window.
 */
function windowMeans({ draft, layer: { node, weight }, x, shape }: Product): string | undefined {
  const tensor = draft.initializers.get(weight)!
  const kernel = intsAttribute(node, 'kernel_shape') ?? tensor.shape.slice(2)
  const groups = intAttribute(node, 'group', 1)
  const [channels, ...places] = shape?.slice(1) ?? []
  if (typeof channels !== 'number' || !places.every((size) => typeof size === 'number')) return undefined
  const windows = windowsOf(node, places, kernel)
  // Pooling has no windows that lie outside as a whole.
  if ([...windows.begin, ...windows.end].some((pad, i) => pad >= kernel[i % kernel.length])) return undefined
  let mean = draft.add('Abs', [x])
  if (groups < channels && groups > 1) {
    const list = (sizes: readonly number[]) => draft.constant('groups', int64(sizes))
    const grouped = draft.add('Reshape', [mean, list([0, groups, channels / groups, -1])])
    const flat = draft.add('ReduceMean', [grouped, list([2])], { keepdims: 0 })
    mean = draft.add('Reshape', [flat, list([0, groups, ...places])])
  } else if (groups === 1) mean = meanAlong(draft, mean, 1)
  const map = draft.add('AveragePool', [mean], {
    ...windowAttributes(windows),
    kernel_shape: [...kernel],
    count_include_pad: 1,
  })
  const each = tensor.shape[0] / groups
  if (groups === 1 || each === 1) return map
  const group = int64(Array.from({ length: tensor.shape[0] }, (_, i) => Math.floor(i / each)))
  return draft.add('Gather', [map, draft.constant('group', group)], { axis: 1 })
}

function meanAlong(draft: Product['draft'], value: string, axis: number): string {
  return draft.add('ReduceMean', [value, draft.constant('axes', int64([axis]))], { keepdims: 1 })
}
