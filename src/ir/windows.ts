/**
 * The geometry of sliding windows, shared by convolution and pooling of any spatial rank:
 * input position = output position * stride + tap * dilation - pad at the beginning.
 */
import { ModelError } from '../errors.ts'
import { intAttribute, intsAttribute, stringAttribute, type Dim, type Node } from './model.ts'

/** Windows along the spatial axes, one entry an axis, all pads explicit. */
export interface Windows {
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly begin: readonly number[]
  readonly end: readonly number[]
}

/** How far a kernel reaches: (k - 1) * dilation + 1. */
export function reach(kernel: number, dilation: number): number {
  return (kernel - 1) * dilation + 1
}

/**
 * Reads strides, dilations, pads and auto_pad of a node.
 * Where auto_pad asks for SAME and a size is not known, the pads of that axis come out as zero.
 * @param spatial sizes of the input without batch and channel.
 * @throws ModelError when an attribute has not one entry (pads: two) a spatial axis, or one that makes no sense.
 */
export function windowsOf(node: Node, spatial: readonly Dim[], kernel: readonly number[]): Windows {
  const rank = spatial.length
  const strides = axisInts(node, 'strides', rank, 1, 1)
  const dilations = axisInts(node, 'dilations', rank, 1, 1)
  if (kernel.length !== rank || kernel.some((size) => size < 1))
    throw windowError(node, `its kernel [${kernel.join(', ')}] does not fit an input with ${rank} spatial axes`)
  const same = stringAttribute(node, 'auto_pad', 'NOTSET')
  if (same === 'NOTSET' || same === '') {
    const pads = intsAttribute(node, 'pads') ?? Array.from({ length: 2 * rank }, () => 0)
    if (pads.length !== 2 * rank) throw windowError(node, `pads needs ${2 * rank} entries, not ${pads.length}`)
    return { kernel, strides, dilations, begin: pads.slice(0, rank), end: pads.slice(rank) }
  }
  const totals = spatial.map((size, axis) => {
    if (same === 'VALID' || typeof size !== 'number') return 0
    const windows = Math.ceil(size / strides[axis])
    return Math.max(0, (windows - 1) * strides[axis] + reach(kernel[axis], dilations[axis]) - size)
  })
  const { begin, end } = halves(totals, same === 'SAME_UPPER')
  return { kernel, strides, dilations, begin, end }
}

/** Splits the pads of each axis in two; an odd one goes to the end for `upper`, otherwise to the beginning. */
export function halves(totals: readonly number[], upper: boolean): { begin: number[]; end: number[] } {
  const begin = totals.map((total) => (upper ? Math.floor(total / 2) : Math.ceil(total / 2)))
  return { begin, end: totals.map((total, axis) => total - begin[axis]) }
}

/** One integer an axis from an attribute. @throws ModelError when the count is wrong or one is below `least`. */
export function axisInts(node: Node, name: string, rank: number, fallback: number, least: number): number[] {
  const values = intsAttribute(node, name)
  if (!values || values.length === 0) return Array.from({ length: rank }, () => fallback)
  if (values.length !== rank) throw windowError(node, `${name} needs ${rank} entries, not ${values.length}`)
  if (values.some((value) => value < least)) throw windowError(node, `${name} has an entry below ${least}`)
  return values
}

/** The attributes that say these windows to an operator, with explicit pads. */
export function windowAttributes(windows: Windows): { strides: number[]; pads: number[]; dilations: number[] } {
  return {
    strides: [...windows.strides],
    pads: [...windows.begin, ...windows.end],
    dilations: [...windows.dilations],
  }
}

/**
 * How many windows fit along each spatial axis. A symbol survives where the windows keep the size;
 * an unknown size otherwise stays unknown.
 * With the node's `ceil_mode`, a last window that overhangs counts, unless it would start in the padding at the end.
 * @throws ModelError when not even one fits.
 */
export function windowCounts(node: Node, spatial: readonly Dim[], windows: Windows): Dim[] {
  const same = stringAttribute(node, 'auto_pad', 'NOTSET').startsWith('SAME')
  const ceil = intAttribute(node, 'ceil_mode', 0) !== 0
  return spatial.map((size, axis) => {
    const stride = windows.strides[axis]
    const length = reach(windows.kernel[axis], windows.dilations[axis])
    const pads = windows.begin[axis] + windows.end[axis]
    if (typeof size !== 'number') return stride === 1 && (same || pads === length - 1) ? size : null
    const room = size + pads - length
    if (room < 0)
      throw windowError(
        node,
        `a window of ${length} does not fit into ${size} padded by ${pads} along axis ${axis + 2}`,
      )
    if (!ceil) return Math.floor(room / stride) + 1
    const count = Math.ceil(room / stride) + 1
    return (count - 1) * stride >= size + windows.begin[axis] ? count - 1 : count
  })
}

/** The attribute `shape` of a gradient operator: the shape of its result. @throws ModelError when it is missing. */
export function resultShape(node: Node): number[] {
  const shape = intsAttribute(node, 'shape')
  if (!shape) throw windowError(node, 'the attribute shape is missing')
  return shape
}

/** The error of a node whose attributes or shapes make no window. */
export function windowError(node: Node, message: string): ModelError {
  return new ModelError('operator-shape', `${node.op} '${node.name}': ${message}`, { place: node.name })
}

/** All meetings of a window and an input element, by flat spatial indices; those in the padding are left out. */
export interface Taps {
  readonly output: Int32Array
  readonly input: Int32Array
  readonly kernel: Int32Array
}

/**
 * Lists the taps of all windows. For one output they come in row-major order of the kernel.
 * @param input spatial sizes of the input; `output`: how many windows there are.
 */
export function listTaps(input: readonly number[], output: readonly number[], windows: Windows): Taps {
  const axes = input.map((size, axis) => axisTaps(size, output[axis], windows, axis))
  const total = axes.reduce((product, axis) => product * axis.length, 1)
  const taps = { output: new Int32Array(total), input: new Int32Array(total), kernel: new Int32Array(total) }
  let at = 0
  const visit = (axis: number, o: number, i: number, k: number) => {
    if (axis === axes.length) {
      taps.output[at] = o
      taps.input[at] = i
      taps.kernel[at++] = k
      return
    }
    for (const [outer, inner, tap] of axes[axis])
      visit(axis + 1, o * output[axis] + outer, i * input[axis] + inner, k * windows.kernel[axis] + tap)
  }
  visit(0, 0, 0, 0)
  return taps
}

function axisTaps(size: number, count: number, windows: Windows, axis: number): [number, number, number][] {
  const result: [number, number, number][] = []
  for (let o = 0; o < count; o++)
    for (let k = 0; k < windows.kernel[axis]; k++) {
      const i = o * windows.strides[axis] + k * windows.dilations[axis] - windows.begin[axis]
      if (i >= 0 && i < size) result.push([o, i, k])
    }
  return result
}
