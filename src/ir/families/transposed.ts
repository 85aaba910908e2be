/** The geometry of ConvTranspose: a convolution read backwards, from its output y to its input x. */
import { intAttribute, intsAttribute, stringAttribute, type Dim, type Node, type TensorType } from '../model.ts'
import { axisInts, halves, reach, windowError, type Windows } from '../windows.ts'
import { kernelOf } from './convolution-rules.ts'

/** The windows that slide over y, and y's spatial sizes. */
export interface TransposedGeometry {
  readonly windows: Windows
  readonly spatial: readonly Dim[]
}

/**
 * Reads strides, dilations, pads, auto_pad, output_padding and output_shape of a node.
 * Without output_shape: size = stride * (input - 1) + output_padding + reach(kernel) - pads; with it, or where auto_pad
 * is SAME (size = input * stride), the pads follow; an odd one goes to the beginning, for SAME_UPPER to the end.
 * @param input spatial sizes of x.
 */
export function transposedGeometry(node: Node, input: readonly Dim[], kernel: readonly number[]): TransposedGeometry {
  const rank = input.length
  if (kernel.length !== rank)
    throw windowError(node, `a kernel [${kernel.join(', ')}] does not fit ${rank} spatial axes`)
  const strides = axisInts(node, 'strides', rank, 1, 1)
  const dilations = axisInts(node, 'dilations', rank, 1, 1)
  const extra = axisInts(node, 'output_padding', rank, 0, 0)
  const wanted = intsAttribute(node, 'output_shape')?.slice(-rank)
  const mode = stringAttribute(node, 'auto_pad', 'NOTSET')
  /** Where x reaches without any pads. */
  const full = input.map((size, axis) =>
    typeof size === 'number' ? strides[axis] * (size - 1) + extra[axis] + reach(kernel[axis], dilations[axis]) : size,
  )
  const sized = (spatial: readonly Dim[]) => {
    const totals = full.map((size, axis) => {
      const target = spatial[axis]
      return typeof size === 'number' && typeof target === 'number' ? Math.max(0, size - target) : 0
    })
    return { windows: { kernel, strides, dilations, ...halves(totals, mode === 'SAME_UPPER') }, spatial }
  }
  if (wanted && wanted.length > 0) return sized(wanted)
  if (mode.startsWith('SAME'))
    return sized(
      input.map((size, axis) => (typeof size === 'number' ? size * strides[axis] : strides[axis] === 1 ? size : null)),
    )
  const pads = (mode === 'VALID' ? undefined : intsAttribute(node, 'pads')) ?? Array.from({ length: 2 * rank }, () => 0)
  if (pads.length !== 2 * rank) throw windowError(node, `pads needs ${2 * rank} entries, not ${pads.length}`)
  const [begin, end] = [pads.slice(0, rank), pads.slice(rank)]
  const spatial = full.map((size, axis) => {
    if (typeof size === 'number') return size - begin[axis] - end[axis]
    const growth = extra[axis] + reach(kernel[axis], dilations[axis]) - 1 - begin[axis] - end[axis]
    return strides[axis] === 1 && growth === 0 ? size : null
  })
  if (spatial.some((size) => typeof size === 'number' && size < 1))
    throw windowError(node, `its pads leave nothing of the output: [${spatial.join(', ')}]`)
  return { windows: { kernel, strides, dilations, begin, end }, spatial }
}

/** The type of y [batch, filters, ...spatial] from x [batch, channels, ...input] and w [channels, filters / groups, ...kernel]. */
export function inferTransposed(node: Node, x: TensorType | undefined, w: TensorType | undefined): TensorType {
  const dtype = x?.dtype ?? w?.dtype ?? 'float32'
  const kernel = kernelOf(node, w?.shape)
  if (!x?.shape || !kernel) return { dtype }
  if (x.shape.length < 3) throw windowError(node, 'its input needs a batch, a channel and a spatial axis')
  const [channels, groupFilters] = w?.shape ?? [null, null]
  const group = intAttribute(node, 'group', 1)
  if (typeof channels === 'number' && typeof x.shape[1] === 'number' && channels !== x.shape[1])
    throw windowError(node, `its input has ${x.shape[1]} channels, its weight wants ${channels}`)
  if (group < 1 || (typeof channels === 'number' && channels % group !== 0))
    throw windowError(node, `${channels} channels do not divide into ${group} groups`)
  const filters = typeof groupFilters === 'number' ? groupFilters * group : null
  return { dtype, shape: [x.shape[0], filters, ...transposedGeometry(node, x.shape.slice(2), kernel).spatial] }
}

/**
 * The same windows with the smallest pads at the end under which a Conv over y has at least as many outputs as x; where
 * output_padding leaves room for more, `surplus` says so.
 */
export function forwardWindows(
  { windows, spatial }: TransposedGeometry,
  input: readonly number[],
): { windows: Windows; surplus: boolean } {
  const rest = input.map((size, axis) => {
    const used = windows.strides[axis] * (size - 1) + reach(windows.kernel[axis], windows.dilations[axis])
    return used - windows.begin[axis] - (spatial[axis] as number)
  })
  const surplus = rest.some((need, axis) => -need >= windows.strides[axis])
  return { windows: { ...windows, end: rest.map((need) => Math.max(0, need)) }, surplus }
}
