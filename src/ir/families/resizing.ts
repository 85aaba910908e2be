/** Where a Resize reads: source coordinates and interpolation weights of each axis. */
import { floatAttribute, intAttribute, intsAttribute, stringAttribute, type Node } from '../model.ts'
import { windowError } from '../windows.ts'
import { normalizeAxis } from './axes.ts'

/** One axis: its new size, the factor, and the part of the source that is read (for tf_crop_and_resize), from 0 to 1. */
export interface AxisScale {
  readonly from: number
  readonly to: number
  readonly scale: number
  readonly start: number
  readonly end: number
}

/** What is read for one output index along an axis: source indices and their weights; none for an extrapolated one. */
export type Reading = readonly (readonly [index: number, weight: number])[]

/**
 * Sizes and factors of all axes from the inputs of a Resize.
 * @param given scales or sizes (exactly one of them), one an axis, or one an entry of the attribute `axes`.
 */
export function axisScales(
  node: Node,
  shape: readonly number[],
  given: { readonly scales?: readonly number[]; readonly sizes?: readonly number[]; readonly roi?: readonly number[] },
): AxisScale[] {
  const axes = axesOf(node, shape.length)
  const { scales, sizes, roi } = given
  const values = scales ?? sizes
  if (!values || values.length !== axes.length)
    throw windowError(node, `it needs ${axes.length} scales or sizes, not ${values?.length ?? 0}`)
  if (values.some((value) => !(value > 0))) throw windowError(node, 'its scales and sizes must be positive')
  const policy = stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch')
  const ratios = sizes?.map((size, i) => size / shape[axes[i]]) ?? []
  const common = policy === 'not_larger' ? Math.min(...ratios) : Math.max(...ratios)
  const isCrop = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel') === 'tf_crop_and_resize'
  const result = shape.map((size): AxisScale => ({ from: size, to: size, scale: 1, start: 0, end: 1 }))
  axes.forEach((axis, i) => {
    const from = shape[axis]
    const [start, end] = isCrop && roi ? [roi[i], roi[i + axes.length]] : [0, 1]
    if (scales) {
      const to = Math.floor(Math.fround(from * scales[i] * (end - start)))
      result[axis] = { from, to, scale: scales[i], start, end }
    } else {
      const to = policy === 'stretch' ? sizes![i] : Math.round(common * from)
      result[axis] = { from, to, scale: policy === 'stretch' ? to / from : common, start, end }
    }
  })
  return result
}

/** The axes that scales and sizes speak of. */
export function axesOf(node: Node, rank: number): number[] {
  const axes = intsAttribute(node, 'axes')
  return axes ? axes.map((axis) => normalizeAxis(axis, rank, node)) : Array.from({ length: rank }, (_, axis) => axis)
}

/** What each output index along an axis reads. */
export function axisReadings(node: Node, axis: AxisScale): Reading[] {
  const mode = stringAttribute(node, 'mode', 'nearest')
  const crops = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel') === 'tf_crop_and_resize'
  return Array.from({ length: axis.to }, (_, index): Reading => {
    if (axis.to === axis.from && axis.scale === 1 && !crops) return [[index, 1]]
    const at = sourceCoordinate(node, axis, index)
    if (crops && (at < 0 || at > axis.from - 1)) return []
    if (mode === 'nearest') return [[clamp(nearest(node, at), axis.from), 1]]
    return mode === 'linear' ? linear(node, axis, at) : cubic(node, axis, at)
  })
}

/** What an extrapolated element becomes. */
export function extrapolationValue(node: Node): number {
  return floatAttribute(node, 'extrapolation_value', 0)
}

/**
 * x_original of x_resized, by the attribute coordinate_transformation_mode; quotients in single precision, as engines
 * compute them, since a rounding follows.
 */
function sourceCoordinate(node: Node, { from, to, scale, start, end }: AxisScale, index: number): number {
  const mode = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel')
  switch (mode) {
    case 'half_pixel':
      return Math.fround((index + 0.5) / scale) - 0.5
    case 'half_pixel_symmetric': {
      const adjustment = to / (scale * from)
      const offset = (from / 2) * (1 - adjustment)
      return Math.fround(offset + (index + 0.5) / scale) - 0.5
    }
    case 'pytorch_half_pixel':
      return to > 1 ? Math.fround((index + 0.5) / scale) - 0.5 : 0
    case 'asymmetric':
      return Math.fround(index / scale)
    case 'align_corners':
      return to > 1 ? (index * (from - 1)) / (to - 1) : 0
    case 'tf_crop_and_resize':
      return to > 1
        ? start * (from - 1) + (index * (end - start) * (from - 1)) / (to - 1)
        : 0.5 * (start + end) * (from - 1)
    default:
      throw windowError(node, `coordinate_transformation_mode '${mode}' is unknown`)
  }
}

function nearest(node: Node, at: number): number {
  const mode = stringAttribute(node, 'nearest_mode', 'round_prefer_floor')
  switch (mode) {
    case 'round_prefer_floor':
      return Math.ceil(at - 0.5)
    case 'round_prefer_ceil':
      return Math.floor(at + 0.5)
    case 'floor':
      return Math.floor(at)
    case 'ceil':
      return Math.ceil(at)
    default:
      throw windowError(node, `nearest_mode '${mode}' is unknown`)
  }
}

/** Weights of a filter around `at`; with `antialias` it is stretched when shrinking. Indices outside fall to the border. */
function linear(node: Node, axis: AxisScale, at: number): Reading {
  const stretch = intAttribute(node, 'antialias', 0) ? Math.max(1, 1 / axis.scale) : 1
  return filtered(node, axis, at, stretch, (distance) => Math.max(0, 1 - Math.abs(distance)), 1)
}

/** Keys' kernel with coefficient a: W(t) = (a + 2)|t|^3 - (a + 3)|t|^2 + 1 to 1, a|t|^3 - 5a|t|^2 + 8a|t| - 4a to 2. */
function cubic(node: Node, axis: AxisScale, at: number): Reading {
  const a = floatAttribute(node, 'cubic_coeff_a', -0.75)
  const stretch = intAttribute(node, 'antialias', 0) ? Math.max(1, 1 / axis.scale) : 1
  const kernel = (distance: number) => {
    const t = Math.abs(distance)
    if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1
    return t < 2 ? a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a : 0
  }
  return filtered(node, axis, at, stretch, kernel, 2)
}

function filtered(
  node: Node,
  axis: AxisScale,
  at: number,
  stretch: number,
  kernel: (distance: number) => number,
  support: number,
): Reading {
  const excludes = intAttribute(node, 'exclude_outside', 0) !== 0
  const weights = new Map<number, number>()
  let total = 0
  for (let i = Math.ceil(at - support * stretch); i <= Math.floor(at + support * stretch); i++) {
    const outside = i < 0 || i >= axis.from
    const weight = excludes && outside ? 0 : kernel((i - at) / stretch)
    if (weight === 0) continue
    const source = clamp(i, axis.from)
    weights.set(source, (weights.get(source) ?? 0) + weight)
    total += weight
  }
  return [...weights].map(([index, weight]) => [index, weight / total] as const)
}

function clamp(index: number, size: number): number {
  return Math.min(size - 1, Math.max(0, index))
}
