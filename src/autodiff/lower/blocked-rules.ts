import { convolutionWindows } from '../../ir/families/convolution-rules.ts'
import { floatAttribute, intAttribute } from '../../ir/model.ts'
import { resultShape, windowAttributes } from '../../ir/windows.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import type { Blocks } from './blocked-values.ts'
import { gradWFromChannelsLast } from './conv-grad-w.ts'
import { flipped, flippedConvolution } from './conv-grad-x.ts'
import type { LowerContext } from './formulation.ts'

/** Writes a node over blocked values, or says no and writes nothing. */
type BlockedRule = (context: LowerContext, blocks: Blocks) => boolean

/** A convolution of whole blocks of channels, without groups; or of an image of so few that it is read as it is. */
const conv: BlockedRule = (context, blocks) => {
  const { node, inputs, outputs, shape } = context
  const [x, w, bias] = inputs as [string, string, string | undefined]
  if (intAttribute(node, 'group', 1) !== 1 || !blocks.fits(outputs[0])) return false
  if (!blocks.fits(x) && !blocks.isNarrow(x)) return false
  const windows = windowAttributes(convolutionWindows(node, shape(x), shape(w)))
  blocks.set(
    outputs[0],
    convolution(
      blocks,
      [
        blocks.fits(x) ? blocks.blocked(x) : blocks.plain(x),
        blocks.weight(blocks.plain(w)),
        bias && blocks.plain(bias),
      ],
      shape(outputs[0]),
      {
        ...windows,
        kernel_shape: shape(w).slice(2),
      },
    ),
  )
  return true
}

function convolution(
  blocks: Blocks,
  inputs: (string | undefined)[],
  shape: readonly number[],
  attributes: { strides: number[]; pads: number[]; dilations: number[]; kernel_shape: number[] },
): string {
  return blocks.emit('Conv', inputs, shape, { ...attributes, group: 1, auto_pad: 'NOTSET' })
}

/** Stride 1: the convolution of dy with turned kernels. */
const convGradX: BlockedRule = (context, blocks) => {
  const { inputs, outputs, shape } = context
  const [dy, w] = inputs as [string, string]
  if (!blocks.fits(dy) || !blocks.fits(outputs[0]) || !flipped.applies(context)) return false
  if (intAttribute(context.node, 'group', 1) !== 1) return false
  const { weight, pads, dilations } = flippedConvolution({ ...context, inputs: [dy, blocks.plain(w)] })
  const attributes = { strides: [1, 1], pads, dilations, kernel_shape: shape(w).slice(2) }
  blocks.set(
    outputs[0],
    convolution(blocks, [blocks.blocked(dy), blocks.weight(weight)], shape(outputs[0]), attributes),
  )
  return true
}

/** Taps meet x with channels last, which blocks give away cheaply; dy is read in the ordinary layout. */
const convGradW: BlockedRule = (context, blocks) => {
  const { node, inputs, outputs } = context
  const [dy, x] = inputs as [string, string]
  const taps = elementCount(resultShape(node).slice(2))
  if (!blocks.has(x) || !blocks.fits(x) || intAttribute(node, 'group', 1) !== 1 || taps === 1) return false
  const result = gradWFromChannelsLast({ ...context, inputs: [blocks.plain(dy), x] }, blocks.channelsLast(x))
  blocks.alias(outputs[0], result)
  return true
}

/** Elementwise operators care for no order, as long as it is the same on all sides. */
const elementwise: BlockedRule = ({ node, inputs, outputs, shape, emit, declare, dtype }, blocks) => {
  const values = inputs as string[]
  const same = values.every((value) => blocks.fits(value) && shape(value).join() === shape(outputs[0]).join())
  if (!same || !values.some((value) => blocks.has(value))) return false
  const key = node.domain === '' ? node.op : `${node.domain}.${node.op}`
  const result = emit(key, values.map(blocks.blocked))
  blocks.set(outputs[0], declare(result, { dtype: dtype(outputs[0]), shape: shape(outputs[0]) }))
  return true
}

const relu: BlockedRule = (context, blocks) => {
  const affine = blocks.take(context.inputs[0]!)
  if (!affine) return elementwise(context, blocks)
  blocks.set(context.outputs[0], blocks.affine(affine, true))
  return true
}

/** An affine map that only this reads takes the other side into its own pass. */
const add: BlockedRule = (context, blocks) => {
  const { inputs, outputs, shape } = context
  const [a, b] = inputs as [string, string]
  const same = blocks.fits(a) && blocks.fits(b) && shape(a).join() === shape(b).join()
  for (const [value, other] of [
    [a, b],
    [b, a],
  ]) {
    if (!same || a === b) break
    const affine = blocks.take(value)
    if (!affine) continue
    if (affine.sum !== undefined) {
      blocks.set(value, blocks.affine(affine))
      continue
    }
    blocks.defer(outputs[0], { ...affine, sum: blocks.blocked(other) })
    return true
  }
  return elementwise(context, blocks)
}

/** The mean over batch and positions of a blocked value, [channels]. */
function channelMean({ emit, literal, shape }: LowerContext, blocks: Blocks, value: string): string {
  const [batch, channels] = shape(value)
  const means = blocks.emit('GlobalAveragePool', [value], [batch, channels, 1, 1])
  const rows = emit('Reshape', [means, literal(int64([batch, channels]))])
  return emit('ReduceMean', [rows, literal(int64([0]))], { keepdims: 0 })
}

/** Mean and variance = mean of squares - squared mean in two passes, then one affine map: y = a x + (bias - a mean). */
const batchNormTrain: BlockedRule = (context, blocks) => {
  const { inputs, outputs, emit } = context
  const x = inputs[0]!
  if (!blocks.has(x) || !blocks.fits(x)) return false
  const [scale, bias] = inputs.slice(1).map((value) => blocks.plain(value!))
  const source = blocks.blocked(x)
  const mean = channelMean(context, blocks, source)
  const squares = channelMean(context, blocks, emit('Mul', [source, source]))
  const variance = emit('Relu', [emit('Sub', [squares, emit('Mul', [mean, mean])])])
  const gain = emit('Mul', [scale, inverseDeviation(context, variance)])
  const shift = emit('Sub', [bias, emit('Mul', [gain, mean])])
  blocks.defer(outputs[0], { x: source, gain, bias: shift })
  if (outputs[1]) blocks.alias(outputs[1], mean)
  if (outputs[2]) blocks.alias(outputs[2], variance)
  return true
}

function inverseDeviation({ node, emit, literal }: LowerContext, variance: string): string {
  const epsilon = literal(floatAttribute(node, 'epsilon', 1e-5), variance)
  return emit('Reciprocal', [emit('Sqrt', [emit('Add', [variance, epsilon])])])
}

/** As in batch-norm.ts, dx = a dy + b x + c, in two affine passes of which the second adds the first. */
const batchNormGrad: BlockedRule = (context, blocks) => {
  const { inputs, outputs, emit, literal, shape } = context
  const [dy, x] = inputs as [string, string]
  if (!blocks.has(x) || !blocks.fits(x)) return false
  const [scale, mean, variance] = inputs.slice(2).map((value) => blocks.plain(value!))
  const [upstream, source] = [blocks.blocked(dy), blocks.blocked(x)]
  const count = elementCount(shape(x)) / shape(x)[1]
  const inverse = inverseDeviation(context, variance)
  // Means over batch and positions; the sums are `count` times these.
  const meanDy = channelMean(context, blocks, upstream)
  const meanProduct = channelMean(context, blocks, emit('Mul', [upstream, source]))
  const moment = emit('Mul', [inverse, emit('Sub', [meanProduct, emit('Mul', [mean, meanDy])])])
  const a = emit('Mul', [scale, inverse])
  const b = emit('Neg', [emit('Mul', [emit('Mul', [a, inverse]), moment])])
  const c = emit('Neg', [emit('Add', [emit('Mul', [a, meanDy]), emit('Mul', [b, mean])])])
  const ofX = blocks.affine({ x: source, gain: b, bias: c })
  blocks.set(outputs[0], blocks.affine({ x: upstream, gain: a, sum: ofX }))
  if (outputs[1]) blocks.alias(outputs[1], emit('Mul', [moment, literal(count, moment)]))
  if (outputs[2]) blocks.alias(outputs[2], emit('Mul', [meanDy, literal(count, meanDy)]))
  return true
}

export const blockedRules: ReadonlyMap<string, BlockedRule> = new Map([
  ['Conv', conv],
  ['Relu', relu],
  ['Add', add],
  ['Sum', elementwise],
  ['Sub', elementwise],
  ['Mul', elementwise],
  ['espalier.ReluGrad', elementwise],
  ['espalier.ConvGradX', convGradX],
  ['espalier.ConvGradW', convGradW],
  ['espalier.BatchNormTrain', batchNormTrain],
  ['espalier.BatchNormGrad', batchNormGrad],
])
