import { integersOf } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { gradientIntegers, inferredIntegers, required, unknownDims } from '../families/axes.ts'
import { axisTies } from '../families/broadcast.ts'
import { gatherBackwards, padBackwards } from '../families/scattering.ts'
import { range, takeAxes } from '../families/movement.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { sliceWindows } from '../families/slicing.ts'
import { defineOperator } from '../operator.ts'

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
  /** An axis taken whole and in order keeps its channels; without constants nobody knows. */
  coupling: (context) => {
    const { node, inputs, constant } = context
    const [starts, ends, axes, steps] = [1, 2, 3, 4].map((index) => {
      const value = inputs[index] && constant?.(index)
      return value && integersOf(value)
    })
    if (!starts || !ends || (inputs[3] && !axes) || (inputs[4] && !steps)) return []
    const { shape } = inputs[0]!
    const windows = sliceWindows(node, shape, starts, ends, axes, steps)
    return axisTies({ ...context, inputs: [inputs[0]] }, (axis) => {
      const window = windows[axis]
      return typeof window !== 'object' || (window.step === 1 && window.count === shape[axis])
    })
  },
  samples: [
    { name: 'window', inputs: [spread([3, 5]), int64([1, 1]), int64([3, 4])] },
    { name: 'one axis, from the end', inputs: [spread([2, 5]), int64([-3]), int64([2n ** 63n - 1n]), int64([-1])] },
    { name: 'steps', inputs: [spread([5, 7]), int64([0, -1]), int64([5, 0]), int64([0, 1]), int64([2, -3])] },
    { name: 'reversed', inputs: [spread([4, 2]), int64([-1]), int64([-(2n ** 63n)]), int64([0]), int64([-1])] },
    { name: 'nothing left', inputs: [spreadOf('int64', [4], 0, 9), int64([3]), int64([1])] },
  ],
})
