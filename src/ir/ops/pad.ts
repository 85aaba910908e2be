import { integersOf, fromNumbers } from '../../tensor/elements.ts'
import { int64, scalar } from '../../tensor/tensor.ts'
import {
  gradientIntegers,
  inferredIntegers,
  nodeError,
  normalizeAxes,
  normalizeAxis,
  required,
} from '../families/axes.ts'
import { withInputs } from '../families/cutting.ts'
import { range, takeAxes } from '../families/movement.ts'
import { pickedTies } from '../families/picking.ts'
import { scatterAlong } from '../families/scattering.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { stringAttribute, type Node } from '../model.ts'
import { defineOperator, type ChannelTie, type CostContext, type CutContext } from '../operator.ts'

export const pad = defineOperator({
  type: 'Pad',
  since: 21,
  summary:
    'Adds elements before and after each axis: a constant, the edge, a reflection or a wrapped copy; negative pads cut.',
  infer: (context) => {
    const [x] = context.inputs
    if (!x?.shape) return [x && { dtype: x.dtype }]
    const [pads, axes] = [inferredIntegers(context, 1), inferredIntegers(context, 3)]
    if (!Array.isArray(pads) || axes === 'unknown') return [{ dtype: x.dtype, shape: x.shape.map(() => null) }]
    const [before, after] = padding(context.node, x.shape.length, pads, axes === 'absent' ? undefined : axes)
    const shape = x.shape.map((size, axis) => {
      if (before[axis] === 0 && after[axis] === 0) return size
      return typeof size === 'number' ? size + before[axis] + after[axis] : null
    })
    return [{ dtype: x.dtype, shape }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    const axes = context.inputs[3] && integersOf(context.inputs[3])
    const [before, after] = padding(context.node, x.shape.length, integersOf(required(context, 1)), axes)
    return [
      takeAxes(
        x,
        x.shape.map((size, axis) => sources(context.node, size, before[axis], after[axis])),
        context.inputs[2],
      ),
    ]
  },
  /** A constant margin is cut off again; other margins send their gradient to the elements that they copy. */
  gradient: (context) => {
    const { node, inputs, outputGradients, emit, literal, shape } = context
    const size = shape(inputs[0]!)
    const [before, after] = padding(node, size.length, gradientIntegers(context, 1)!, gradientIntegers(context, 3))
    let dx = outputGradients[0]!
    if (stringAttribute(node, 'mode', 'constant') !== 'constant') {
      for (const axis of size.keys())
        if (before[axis] !== 0 || after[axis] !== 0)
          dx = scatterAlong(context, dx, axis, sources(node, size[axis], before[axis], after[axis]), size[axis])
      return [dx]
    }
    if ([...before, ...after].some((count) => count < 0))
      return [emit('Pad', [dx, literal(int64([...before, ...after].map((count) => -count)))])]
    const ends = size.map((count, axis) => before[axis] + count)
    return [emit('Slice', [dx, literal(int64(before)), literal(int64(ends))])]
  },
  coupling,
  cut,
  samples: [
    { name: 'zeros', inputs: [spread([2, 3]), int64([0, 1, 2, 0])] },
    {
      name: 'value on one axis',
      inputs: [spread([2, 3]), int64([1, 2]), scalar('float32', 0.5), int64([-1])],
      gradientOf: [0],
    },
    { name: 'edge', inputs: [spread([2, 3]), int64([1, 2, 0, 1])], attributes: { mode: 'edge' } },
    { name: 'reflect', inputs: [spread([3, 4]), int64([2, 1, 1, 3])], attributes: { mode: 'reflect' } },
    { name: 'wrap', inputs: [spread([3, 4]), int64([2, 1, 1, 3])], attributes: { mode: 'wrap' } },
    { name: 'cut', inputs: [spread([4, 3]), int64([-1, 0, 1, -1])] },
    { name: 'int32', inputs: [spreadOf('int32', [3], 0, 9), int64([1, 1]), fromNumbers('int32', [], [7])] },
  ],
})

/**
 * An axis keeps its channels; those that a constant margin adds can be cut by themselves. Along an axis with another
 * margin, or where the pads are not known, nothing can.
 */
function coupling(context: CostContext): ChannelTie[] {
  const { node, inputs, constant } = context
  const [x, , , axes] = inputs
  const [pads, given] = [constant?.(1), axes && constant?.(3)]
  if (!pads || (axes && !given)) return []
  const { shape } = x!
  const [before, after] = padding(node, shape.length, integersOf(pads), given && integersOf(given))
  const made = stringAttribute(node, 'mode', 'constant') === 'constant'
  return shape.flatMap((size, axis) =>
    made || (before[axis] === 0 && after[axis] === 0)
      ? pickedTies({ from: axis, axis, size, sources: sources(node, size, before[axis], after[axis]) })
      : [],
  )
}

/** Counts what is left of each margin, or of what a negative one cuts away. */
function cut({ node, inputs: [x, , , axes], keptInputs, keptOutputs, constant, literal }: CutContext): Node {
  const { shape } = x!
  const [before, after] = padding(node, shape.length, integersOf(constant!(1)!), axes && integersOf(constant!(3)!))
  for (const [axis, size] of shape.entries()) {
    const input = keptInputs[0]?.[axis] ?? range(0, size)
    const output = keptOutputs[0][axis] ?? range(0, size + before[axis] + after[axis])
    const margin = (pad: number, isOutside: (place: number) => boolean, isCut: (place: number) => boolean) =>
      pad >= 0 ? output.filter(isOutside).length : -input.filter(isCut).length
    const [begin, end] = [before[axis], before[axis] + size]
    const stop = size + after[axis]
    before[axis] = margin(
      begin,
      (place) => place < begin,
      (place) => place < -begin,
    )
    after[axis] = margin(
      after[axis],
      (place) => place >= end,
      (place) => place >= stop,
    )
  }
  const fitted = withInputs(node, { 1: literal(int64([...before, ...after])) })
  return { ...fitted, inputs: fitted.inputs.slice(0, 3) }
}

/** Elements to add before and after every axis. */
function padding(
  node: Node,
  rank: number,
  pads: readonly number[],
  given: readonly number[] | undefined,
): [number[], number[]] {
  const axes = given ? given.map((axis) => normalizeAxis(axis, rank, node)) : range(0, rank)
  normalizeAxes(axes, rank, node)
  if (pads.length !== 2 * axes.length)
    throw nodeError(node, 'pad-count', `${axes.length} axes need ${2 * axes.length} pads, not ${pads.length}`)
  const before = range(0, rank).map(() => 0)
  const after = range(0, rank).map(() => 0)
  for (const [index, axis] of axes.entries()) {
    before[axis] = pads[index]
    after[axis] = pads[index + axes.length]
  }
  return [before, after]
}

/** For each place of the padded axis where its element comes from; -1 for the constant. */
function sources(node: Node, size: number, before: number, after: number): number[] {
  const mode = stringAttribute(node, 'mode', 'constant')
  const period = 2 * (size - 1)
  return range(-before, size + after).map((position) => {
    if (position >= 0 && position < size) return position
    if (mode === 'constant') return -1
    if (size === 0) throw nodeError(node, 'pad-empty', `an empty axis has nothing to pad with in mode ${mode}`)
    if (mode === 'edge') return position < 0 ? 0 : size - 1
    if (mode === 'wrap') return ((position % size) + size) % size
    if (period === 0) return 0
    const phase = ((position % period) + period) % period
    return phase < size ? phase : period - phase
  })
}
