/** What all pooling operators share: their windows, how many elements a window averages, their channel ties. */
import { intAttribute, intsAttribute, type Dim, type Node, type TensorType } from '../model.ts'
import type { ChannelTie, CostContext } from '../operator.ts'
import { reach, windowAttributes, windowCounts, windowError, windowsOf, type Windows } from '../windows.ts'

/** The windows of a pooling node over x [batch, channels, ...spatial]. */
export function poolWindows(node: Node, x: readonly Dim[]): Windows {
  if (x.length < 3) throw windowError(node, 'its input needs a batch, a channel and a spatial axis')
  return windowsOf(node, x.slice(2), intsAttribute(node, 'kernel_shape') ?? [])
}

/** The type of y [batch, channels, ...windows]. */
export function inferPool(node: Node, x: TensorType | undefined): TensorType | undefined {
  if (!x?.shape) return x
  const counts = windowCounts(node, x.shape.slice(2), poolWindows(node, x.shape))
  return { dtype: x.dtype, shape: [x.shape[0], x.shape[1], ...counts] }
}

/** What a gradient operator takes over from the forward node, with auto_pad resolved. */
export function poolAttributes(
  node: Node,
  x: readonly number[],
): { kernel_shape: number[]; strides: number[]; pads: number[]; dilations: number[]; ceil_mode: number } {
  const windows = poolWindows(node, x)
  return {
    kernel_shape: [...windows.kernel],
    ...windowAttributes(windows),
    ceil_mode: intAttribute(node, 'ceil_mode', 0),
  }
}

/**
 * By how many elements each window divides, by flat output index: the elements inside the input or, with
 * `count_include_pad`, also those in the padding, but never what `ceil_mode` adds beyond it.
 */
export function windowSizes(
  node: Node,
  spatial: readonly number[],
  counts: readonly number[],
  windows: Windows,
): Float64Array {
  const padded = intAttribute(node, 'count_include_pad', 0) !== 0
  let sizes = [1]
  counts.forEach((count, axis) => {
    const low = padded ? -windows.begin[axis] : 0
    const high = spatial[axis] + (padded ? windows.end[axis] : 0)
    const own = Array.from({ length: count }, (_, o) => {
      let inside = 0
      const start = o * windows.strides[axis] - windows.begin[axis]
      const stop = start + reach(windows.kernel[axis], windows.dilations[axis])
      for (let at = start; at < stop; at += windows.dilations[axis]) if (at >= low && at < high) inside++
      return inside
    })
    sizes = sizes.flatMap((size) => own.map((inside) => size * inside))
  })
  return Float64Array.from(sizes)
}

/** Batch and channels pass through pooling unchanged. */
export function poolTies({ outputs }: CostContext): ChannelTie[] {
  return [0, 1].map((axis) => ({
    ports: [
      { side: 'input', index: 0, axis },
      ...outputs.map((_, index) => ({ side: 'output' as const, index, axis })),
    ],
  }))
}

/** The type of a global pool's y: each spatial axis shrinks to one. */
export function inferGlobalPool(x: TensorType | undefined): TensorType | undefined {
  if (!x?.shape) return x
  return { dtype: x.dtype, shape: x.shape.map((size, axis) => (axis < 2 ? size : 1)) }
}

/** A global pool, said as one window over the whole of x [batch, channels, ...spatial]. */
export function globalPoolAttributes(x: readonly number[]): {
  kernel_shape: number[]
  strides: number[]
  pads: number[]
  dilations: number[]
  ceil_mode: number
  shape: readonly number[]
} {
  const kernel = x.slice(2)
  const ones = kernel.map(() => 1)
  return {
    kernel_shape: kernel,
    strides: ones,
    pads: kernel.concat(kernel).fill(0),
    dilations: ones,
    ceil_mode: 0,
    shape: x,
  }
}
