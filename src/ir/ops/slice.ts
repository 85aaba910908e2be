import { integersOf } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { gradientIntegers, inferredIntegers, required, unknownDims } from '../families/axes.ts'
import { gatherBackwards, padBackwards } from '../families/scattering.ts'
import { range, takeAxes } from '../families/movement.ts'
import { gatherInstead, pickedTies, sourcesLeft, spacing } from '../families/picking.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { sliceWindows } from '../families/slicing.ts'
import type { Node } from '../model.ts'
import { defineOperator, type CostContext, type CutContext } from '../operator.ts'

export const slice = defineOperator({
  type: 'Slice',
  since: 13,
  summary: 'Takes the elements from starts to ends by steps along the given axes; negative places count from the end.',
  infer: (context) => {
    const [x] = context.inputs
    if (!x?.shape) return [x && { dtype: x.dtype }]
    const [starts, ends, axes, steps] = [1, 2, 3, 4].map((index) => inferredIntegers(context, index))
    const axesKnown = Array.isArray(axes) || (axes === 'absent' && Array.isArray(starts))
    if (!axesKnown) return [{ dtype: x.dtype, shape: unknownDims(x.shape.length) }]
    const given = [starts, ends, axes, steps].map((list) => (Array.isArray(list) ? list : undefined))
    const exact = Array.isArray(starts) && Array.isArray(ends) && steps !== 'unknown'
    const windows = exact ? sliceWindows(context.node, x.shape, starts, ends, given[2], given[3]) : undefined
    const touched = windows
      ? undefined
      : new Set((given[2] ?? []).map((axis) => (axis < 0 ? axis + x.shape!.length : axis)))
    const shape = x.shape.map((size, axis) => {
      if (!windows) return touched!.has(axis) ? null : size
      const window = windows[axis]
      return window === 'unknown' ? null : window ? window.count : size
    })
    return [{ dtype: x.dtype, shape }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    const [starts, ends] = [integersOf(required(context, 1)), integersOf(required(context, 2))]
    const [axes, steps] = [3, 4].map((index) => context.inputs[index] && integersOf(context.inputs[index]))
    const windows = sliceWindows(context.node, x.shape, starts, ends, axes, steps)
    return [
      takeAxes(
        x,
        windows.map((window) =>
          typeof window === 'object' ? range(0, window.count).map((i) => window.start + i * window.step) : undefined,
        ),
      ),
    ]
  },
  /** Steps of 1 give a Pad; other axes put their elements back with a Gather whose gaps read a row of zeros. */
  gradient: (context) => {
    const { node, inputs, outputGradients, shape } = context
    const size = shape(inputs[0]!)
    const [starts, ends, axes, steps] = [1, 2, 3, 4].map((index) => gradientIntegers(context, index))
    const windows = sliceWindows(node, size, starts!, ends!, axes, steps)
    let dx = outputGradients[0]!
    const before = size.map(() => 0)
    const after = size.map(() => 0)
    for (const [axis, window] of windows.entries()) {
      if (typeof window !== 'object') continue
      if (window.step === 1) {
        before[axis] = window.start
        after[axis] = size[axis] - window.start - window.count
      } else
        dx = gatherBackwards(
          context,
          dx,
          axis,
          range(0, window.count).map((i) => window.start + i * window.step),
          size[axis],
        )
    }
    return [padBackwards(context, dx, before, after)]
  },
  /** Each place keeps its channel; what is left out can be cut by itself. Without constants nobody knows. */
  coupling: (context) => {
    const windows = constantWindows(context)
    if (!windows) return []
    return context.inputs[0]!.shape.flatMap((size, axis) =>
      pickedTies({ from: axis, axis, size, sources: placesOf(windows[axis], size) }),
    )
  },
  cut,
  samples: [
    { name: 'window', inputs: [spread([3, 5]), int64([1, 1]), int64([3, 4])] },
    { name: 'one axis, from the end', inputs: [spread([2, 5]), int64([-3]), int64([2n ** 63n - 1n]), int64([-1])] },
    { name: 'steps', inputs: [spread([5, 7]), int64([0, -1]), int64([5, 0]), int64([0, 1]), int64([2, -3])] },
    { name: 'reversed', inputs: [spread([4, 2]), int64([-1]), int64([-(2n ** 63n)]), int64([0]), int64([-1])] },
    { name: 'nothing left', inputs: [spreadOf('int64', [4], 0, 9), int64([3]), int64([1])] },
  ],
})

/** What is taken of each axis, where all is constant. */
function constantWindows({ node, inputs, constant }: CostContext): ReturnType<typeof sliceWindows> | undefined {
  const [starts, ends, axes, steps] = [1, 2, 3, 4].map((index) => {
    const value = inputs[index] && constant?.(index)
    return value && integersOf(value)
  })
  if (!starts || !ends || (inputs[3] && !axes) || (inputs[4] && !steps)) return undefined
  return sliceWindows(node, inputs[0]!.shape, starts, ends, axes, steps)
}

function placesOf(window: ReturnType<typeof sliceWindows>[number], size: number): number[] {
  return typeof window === 'object' ? range(0, window.count).map((i) => window.start + i * window.step) : range(0, size)
}

/** Bounds of the axes that lost places are counted anew; where these are no longer evenly spaced, a Gather picks them. */
function cut(context: CutContext): Node {
  const { node, inputs, keptInputs, keptOutputs, constant, literal, emit } = context
  const windows = constantWindows(context)!
  const { shape } = inputs[0]!
  const [starts, ends] = [integersOf(constant!(1)!), integersOf(constant!(2)!)]
  const axes = inputs[3] ? integersOf(constant!(3)!).map((axis) => (axis < 0 ? axis + shape.length : axis)) : undefined
  const steps = inputs[4] && integersOf(constant!(4)!)
  const bounds = new Map(
    starts.map((start, i) => [axes ? axes[i] : i, { start, end: ends[i], step: steps ? steps[i] : 1 }]),
  )
  const gathered: (readonly [number, number[]])[] = []
  for (const [axis, size] of shape.entries()) {
    if (!bounds.has(axis) || (!keptInputs[0]?.[axis] && !keptOutputs[0][axis])) continue
    const sources = sourcesLeft(context, { from: axis, axis, size, sources: placesOf(windows[axis], size) })
    const even = spacing(sources)
    if (even) bounds.set(axis, { ...even, end: boundAfter(even.start + sources.length * even.step) })
    else {
      bounds.delete(axis)
      gathered.push([axis, sources])
    }
  }
  const list = (pick: (axis: number, bound: { start: number; end: number; step: number }) => number) =>
    literal(int64([...bounds].map(([axis, bound]) => pick(axis, bound))))
  const operands = () => [
    list((_, { start }) => start),
    list((_, { end }) => end),
    list((axis) => axis),
    list((_, { step }) => step),
  ]
  const last = gathered.pop()
  if (!last) return { ...node, inputs: [node.inputs[0], ...operands()] }
  let value = bounds.size > 0 ? emit('Slice', [node.inputs[0], ...operands()]) : node.inputs[0]
  for (const [axis, sources] of gathered) value = emit('Gather', [value, literal(int64(sources))], { axis })
  return gatherInstead(context, value, ...last)
}

/** An end before the first place: a negative bound would count from the other side. */
function boundAfter(end: number): number {
  return end < 0 ? Number.MIN_SAFE_INTEGER : end
}
