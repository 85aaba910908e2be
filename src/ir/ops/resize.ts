import { fromNumbers, integersOf, toNumbers } from '../../tensor/elements.ts'
import { elementCount, float32, int64, type Tensor } from '../../tensor/tensor.ts'
import { sizeLeft, withInputs } from '../families/cutting.ts'
import { noise } from '../families/noise.ts'
import {
  axesOf,
  axisReadings,
  axisScales,
  extrapolationValue,
  type AxisScale,
  type Reading,
} from '../families/resizing.ts'
import { float } from '../draft.ts'
import { stringAttribute, type Dim, type Node } from '../model.ts'
import {
  defineOperator,
  type ChannelTie,
  type CostContext,
  type CutContext,
  type GradientContext,
  type InferContext,
} from '../operator.ts'
import { windowError } from '../windows.ts'

/**
 * Resamples along any axes: nearest, linear or cubic, in all coordinate modes, by scales (input 2) or sizes (input 3).
 * Each axis is resampled by a matrix [new size, old size]; the gradient multiplies by its transpose.
 */
export const resize = defineOperator({
  type: 'Resize',
  since: 19,
  summary: 'Enlarges or shrinks an image by nearest neighbour, linear or cubic interpolation.',
  infer: (context) => [context.inputs[0] && { ...context.inputs[0], shape: inferredShape(context) }],
  evaluate: ({ node, inputs: [x, roi, scales, sizes] }) => {
    const axes = axisScales(node, x!.shape, given(roi, scales, sizes))
    const readings = axes.map((axis) => axisReadings(node, axis))
    let values = toNumbers(x!)
    let shape = x!.shape
    readings.forEach((reading, axis) => {
      if (isIdentity(reading, axes[axis])) return
      values = resample(values, shape, axis, reading)
      shape = shape.with(axis, reading.length)
    })
    const outside = readings.some((reading) => reading.some(({ length }) => length === 0))
    return [
      fromNumbers(x!.dtype, shape, outside ? extrapolate(values, shape, readings, extrapolationValue(node)) : values),
    ]
  },
  gradient,
  coupling,
  cut,
  samples: [
    byScales('nearest, doubled', [1, 1, 2, 2], { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
    byScales('nearest, shrunk', [1, 1, 0.6, 0.6], {}),
    byScales('nearest, round_prefer_ceil', [1, 1, 1.5, 2.5], { nearest_mode: 'round_prefer_ceil' }),
    byScales('nearest, ceil, align_corners', [1, 1, 2, 1.5], {
      nearest_mode: 'ceil',
      coordinate_transformation_mode: 'align_corners',
    }),
    byScales('linear, half_pixel', [1, 1, 2, 2], { mode: 'linear' }),
    byScales('linear, shrunk', [1, 1, 0.6, 0.5], { mode: 'linear', coordinate_transformation_mode: 'asymmetric' }),
    bySizes('linear, align_corners', [1, 2, 7, 3], { mode: 'linear', coordinate_transformation_mode: 'align_corners' }),
    bySizes('linear, pytorch_half_pixel', [1, 2, 1, 9], {
      mode: 'linear',
      coordinate_transformation_mode: 'pytorch_half_pixel',
    }),
    bySizes('linear, half_pixel_symmetric', [1, 2, 6, 3], {
      mode: 'linear',
      coordinate_transformation_mode: 'half_pixel_symmetric',
    }),
    bySizes('nearest, sizes of two axes', [7, 8], { axes: [2, 3] }),
    bySizes('linear, antialias', [1, 2, 2, 3], { mode: 'linear', antialias: 1 }),
    bySizes('cubic', [1, 2, 7, 8], { mode: 'cubic' }),
    bySizes('cubic, exclude_outside', [1, 2, 3, 9], {
      mode: 'cubic',
      exclude_outside: 1,
      cubic_coeff_a: float(-0.5),
      coordinate_transformation_mode: 'asymmetric',
    }),
    {
      name: 'tf_crop_and_resize',
      inputs: [noise(1, [1, 1, 4, 5]), float32([0, 0, 0.3, 0.2, 1, 1, 1.2, 0.8]), undefined, int64([1, 1, 3, 3])],
      attributes: {
        mode: 'linear',
        coordinate_transformation_mode: 'tf_crop_and_resize',
        extrapolation_value: float(10),
      },
      gradientOf: [0],
    },
  ],
})

/**
 * Axes that keep their size; but not where that size stands among `sizes` that are not constant, or where these are only
 * bounds that an aspect ratio is kept within.
 */
function coupling({ node, inputs: [x, , , sizes], outputs: [y], constant }: CostContext): ChannelTie[] {
  const stretched = stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch') === 'stretch'
  const open = !constant?.(3) || !stretched
  const named = sizes && elementCount(sizes.shape) > 0 && open ? axesOf(node, x!.shape.length) : []
  return x!.shape.flatMap((size, axis): ChannelTie[] =>
    size !== y.shape[axis] || named.includes(axis)
      ? []
      : [
          {
            ports: [
              { side: 'input', index: 0, axis },
              { side: 'output', index: 0, axis },
            ],
          },
        ],
  )
}

function cut({ node, inputs: [x, , , given], keptOutputs: [kept], constant, literal }: CutContext): Node {
  if (!given || elementCount(given.shape) === 0) return node
  const sizes = integersOf(constant!(3)!)
  const axes = axesOf(node, x!.shape.length)
  return withInputs(node, { 3: literal(int64(sizes.map((size, i) => sizeLeft(size, kept[axes[i]])))) })
}

function byScales(name: string, scales: number[], attributes: Record<string, string>) {
  return {
    name,
    inputs: [noise(1, [1, 2, 4, 5]), undefined, float32(scales)],
    attributes: { mode: 'nearest', ...attributes },
    gradientOf: [0],
  }
}

function bySizes(name: string, sizes: number[], attributes: NonNullable<(typeof resize)['samples'][0]['attributes']>) {
  return {
    name,
    inputs: [noise(1, [1, 2, 4, 5]), undefined, undefined, int64(sizes)],
    attributes: { mode: 'nearest', ...attributes },
    gradientOf: [0],
  }
}

function given(roi: Tensor | undefined, scales: Tensor | undefined, sizes: Tensor | undefined) {
  return { roi: numbers(roi), scales: numbers(scales), sizes: numbers(sizes) }
}

/** The elements; an empty tensor counts as left out. */
function numbers(tensor: Tensor | undefined): number[] | undefined {
  return tensor && elementCount(tensor.shape) > 0 ? Array.from(toNumbers(tensor)) : undefined
}

/** Static sizes in full; where one is open, an axis keeps it if it is not resized, or has the size asked for. */
function inferredShape({ node, inputs: [x], constant }: InferContext): readonly Dim[] | undefined {
  if (!x?.shape) return undefined
  const { roi, scales, sizes } = given(constant(1), constant(2), constant(3))
  const crops = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel') === 'tf_crop_and_resize'
  const axes = axesOf(node, x.shape.length)
  if ((!scales && !sizes) || (crops && scales && !roi))
    return x.shape.map((size, axis) => (axes.includes(axis) ? null : size))
  if (x.shape.every((size) => typeof size === 'number'))
    return axisScales(node, x.shape, { roi, scales, sizes }).map(({ to }) => to)
  const stretches = stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch') === 'stretch'
  return x.shape.map((size, axis) => {
    const i = axes.indexOf(axis)
    if (i < 0) return size
    if (sizes) return stretches ? (sizes[i] ?? null) : null
    const alone = typeof size === 'number' && !crops ? Math.floor(Math.fround(size * scales![i])) : null
    return scales![i] === 1 && !crops ? size : alone
  })
}

function isIdentity(reading: readonly Reading[], axis: AxisScale): boolean {
  return (
    axis.from === axis.to && reading.every((entry, i) => entry.length === 1 && entry[0][0] === i && entry[0][1] === 1)
  )
}

function resample(
  values: Float64Array,
  shape: readonly number[],
  axis: number,
  reading: readonly Reading[],
): Float64Array {
  const inner = elementCount(shape.slice(axis + 1))
  const outer = elementCount(shape.slice(0, axis))
  const result = new Float64Array(outer * reading.length * inner)
  for (let o = 0; o < outer; o++)
    reading.forEach((entry, to) => {
      for (const [from, weight] of entry)
        for (let i = 0; i < inner; i++)
          result[(o * reading.length + to) * inner + i] += weight * values[(o * shape[axis] + from) * inner + i]
    })
  return result
}

/** Puts `value` wherever one of the axes reads outside of the image. */
function extrapolate(
  values: Float64Array,
  shape: readonly number[],
  readings: readonly (readonly Reading[])[],
  value: number,
): Float64Array {
  return values.map((old, index) => {
    let rest = index
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (readings[axis][rest % shape[axis]].length === 0) return value
      rest = Math.floor(rest / shape[axis])
    }
    return old
  })
}

function gradient(context: GradientContext): (string | undefined)[] {
  const { node, inputs, outputs, outputGradients, shape, dtype, constant, emit, literal } = context
  const x = inputs[0]!
  const parts = [1, 2, 3].map((index) => (inputs[index] ? constant(inputs[index]) : undefined))
  if (!parts[1] && !parts[2]) throw windowError(node, 'its scales or sizes must be constants to be differentiated')
  const axes = axisScales(node, shape(x), given(parts[0], parts[1], parts[2]))
  let dx = outputGradients[0]!
  let current = shape(outputs[0])
  axes.forEach((axis, index) => {
    const reading = axisReadings(node, axis)
    if (isIdentity(reading, axis)) return
    const matrix = new Float64Array(axis.from * axis.to)
    reading.forEach((entry, to) => {
      for (const [from, weight] of entry) matrix[from * axis.to + to] += weight
    })
    const transposed = literal(fromNumbers(dtype(x), [axis.from, axis.to], matrix))
    const planes = [elementCount(current.slice(0, index)), axis.to, elementCount(current.slice(index + 1))]
    current = current.with(index, axis.from)
    dx = emit('MatMul', [transposed, emit('Reshape', [dx, literal(int64(planes))])])
  })
  return [emit('Reshape', [dx, literal(int64([...shape(x)]))])]
}
