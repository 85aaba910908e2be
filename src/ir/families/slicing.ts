import type { Dim, Node } from '../model.ts'
import { nodeError, normalizeAxis } from './axes.ts'

/** The elements start, start + step, ... of one axis. */
export interface SliceWindow {
  readonly start: number
  readonly step: number
  readonly count: number
}

/**
 * What a Slice takes of each axis: undefined where it leaves the axis alone, 'unknown' where the size is a symbol.
 * A symbolic axis that is taken whole counts as left alone.
 */
export function sliceWindows(
  node: Node,
  shape: readonly Dim[],
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[] | undefined,
  steps: readonly number[] | undefined,
): (SliceWindow | 'unknown' | undefined)[] {
  const result: (SliceWindow | 'unknown' | undefined)[] = shape.map(() => undefined)
  for (const [index, start] of starts.entries()) {
    const axis = normalizeAxis(axes ? axes[index] : index, shape.length, node)
    const step = steps ? steps[index] : 1
    const size = shape[axis]
    if (step === 0) throw nodeError(node, 'slice-step', 'a step of 0 never arrives')
    if (typeof size === 'number') result[axis] = sliceWindow(size, start, ends[index], step)
    else if (!(start === 0 && step === 1 && ends[index] >= 2 ** 31 - 1)) result[axis] = 'unknown'
  }
  return result
}

/** Negative bounds count from the end; bounds beyond the axis stop at it. */
function sliceWindow(size: number, start: number, end: number, step: number): SliceWindow {
  const from = start < 0 ? start + size : start
  const to = end < 0 ? end + size : end
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
  const first = Math.min(step > 0 ? size : size - 1, Math.max(0, from))
  const last = Math.min(high, Math.max(low, to))
  return { start: first, step, count: Math.max(0, Math.ceil((last - first) / step)) }
}
