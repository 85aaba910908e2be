/**
 * The one bilinear form behind Conv, its two gradients and ConvTranspose:
 * y[n, m, o] = sum over c, k of x[n, g(m) + c, i(o, k)] * w[m, c, k]. Any two of the three give the third.
 */
import { elementCount } from '../../tensor/tensor.ts'
import { listTaps, type Windows } from '../windows.ts'

/** Sizes of a convolution, named from the side of the forward operator. */
export interface ConvolutionShapes {
  /** [batch, channels, ...spatial] */
  readonly x: readonly number[]
  /** [filters, channels / groups, ...kernel] */
  readonly w: readonly number[]
  /** [batch, filters, ...spatial] */
  readonly y: readonly number[]
}

type Numbers = Float32Array | Float64Array

/** x, w -> y */
export function convolve(x: Numbers, w: Numbers, shapes: ConvolutionShapes, windows: Windows): Float64Array {
  const y = new Float64Array(elementCount(shapes.y))
  forEachPlane(shapes, windows, (taps, xAt, wAt, yAt) => {
    const { output, input, kernel } = taps
    for (let t = 0; t < output.length; t++) y[yAt + output[t]] += x[xAt + input[t]] * w[wAt + kernel[t]]
  })
  return y
}

/** dy, w -> dx: the convolution transposed. */
export function convolveBack(dy: Numbers, w: Numbers, shapes: ConvolutionShapes, windows: Windows): Float64Array {
  const dx = new Float64Array(elementCount(shapes.x))
  forEachPlane(shapes, windows, (taps, xAt, wAt, yAt) => {
    const { output, input, kernel } = taps
    for (let t = 0; t < output.length; t++) dx[xAt + input[t]] += dy[yAt + output[t]] * w[wAt + kernel[t]]
  })
  return dx
}

/** dy, x -> dw */
export function correlate(dy: Numbers, x: Numbers, shapes: ConvolutionShapes, windows: Windows): Float64Array {
  const dw = new Float64Array(elementCount(shapes.w))
  forEachPlane(shapes, windows, (taps, xAt, wAt, yAt) => {
    const { output, input, kernel } = taps
    for (let t = 0; t < output.length; t++) dw[wAt + kernel[t]] += dy[yAt + output[t]] * x[xAt + input[t]]
  })
  return dw
}

/** Visits each pair of an output and an input channel of a group, with the offsets of their planes in x, w and y. */
function forEachPlane(
  shapes: ConvolutionShapes,
  windows: Windows,
  visit: (taps: ReturnType<typeof listTaps>, xAt: number, wAt: number, yAt: number) => void,
): void {
  const taps = listTaps(shapes.x.slice(2), shapes.y.slice(2), windows)
  const [batch, channels] = shapes.x
  const [filters, groupChannels] = shapes.w
  const groupFilters = groupChannels === 0 ? 1 : filters / (channels / groupChannels)
  const xPlane = elementCount(shapes.x.slice(2))
  const wPlane = elementCount(shapes.w.slice(2))
  const yPlane = elementCount(shapes.y.slice(2))
  for (let n = 0; n < batch; n++)
    for (let m = 0; m < filters; m++) {
      const first = Math.floor(m / groupFilters) * groupChannels
      for (let c = 0; c < groupChannels; c++)
        visit(taps, (n * channels + first + c) * xPlane, (m * groupChannels + c) * wPlane, (n * filters + m) * yPlane)
    }
}

/**
 * Multiply-accumulates of the direct algorithm, taps in the padding included: batch * filters * (channels / groups) *
 * kernel * outputs.
 */
export function convolutionMacs(shapes: Pick<ConvolutionShapes, 'w' | 'y'>): number {
  return elementCount(shapes.y) * elementCount(shapes.w.slice(1))
}
