import { convolutionWindows } from '../../ir/families/convolution-rules.ts'
import { intAttribute } from '../../ir/model.ts'
import { resultShape } from '../../ir/windows.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import type { Formulation, LowerContext } from './formulation.ts'

/** Below this many input channels the flipped convolution's inner products are too short to be fast. */
const fewChannels = 16

/** The flipped convolution works at each position of x, the transposed one at each of y: where x is larger by this, it loses. */
const mostPositions = 1.2

function geometry({ node, inputs: [dy, w], shape }: LowerContext) {
  const x = resultShape(node)
  const [wShape, yShape] = [shape(w!), shape(dy!)]
  const windows = convolutionWindows(node, x, wShape)
  return { x, w: wShape, y: yShape, windows, group: intAttribute(node, 'group', 1) }
}

/**
 * Stride 1: dx is the convolution of dy with the kernels turned by half a circle and filters and channels swapped.
 * dy [batch, filters, ...], w [filters, channels / groups, ...kernel] -> dx [batch, channels, ...].
 */
export const flipped: Formulation = {
  name: 'flipped',
  applies(context) {
    const { windows } = geometry(context)
    const fits = (pads: readonly number[]) =>
      pads.every((pad, axis) => pad <= (windows.kernel[axis] - 1) * windows.dilations[axis])
    return windows.strides.every((stride) => stride === 1) && fits(windows.begin) && fits(windows.end)
  },
  prefers(context) {
    const { x, y } = geometry(context)
    return x[1] >= fewChannels && elementCount(x.slice(2)) <= mostPositions * elementCount(y.slice(2))
  },
  write(context) {
    const { weight, ...attributes } = flippedConvolution(context)
    return [context.emit('Conv', [context.inputs[0], weight], attributes)]
  },
}

/** The weight and the attributes of the convolution of dy that is the ConvGradX at hand. */
export function flippedConvolution(context: LowerContext): {
  weight: string
  pads: number[]
  dilations: number[]
  group: number
} {
  const { x, w, windows, group } = geometry(context)
  const { kernel, dilations } = windows
  const pad = (pads: readonly number[]) => pads.map((each, axis) => (kernel[axis] - 1) * dilations[axis] - each)
  return {
    weight: turned(context, w, group, x[1]),
    pads: [...pad(windows.begin), ...pad(windows.end)],
    dilations: [...dilations],
    group,
  }
}

/** The kernels turned and transposed: [filters, channels / groups, ...kernel] -> [channels, filters / groups, ...kernel]. */
function turned(
  { inputs, emit, literal }: LowerContext,
  w: readonly number[],
  group: number,
  channels: number,
): string {
  const taps = elementCount(w.slice(2))
  const list = (values: number[]) => literal(int64(values))
  const grouped = emit('Reshape', [inputs[1], list([group, w[0] / group, w[1], taps])])
  const swapped = emit('Transpose', [grouped], { perm: [0, 2, 1, 3] })
  const reversed =
    taps === 1
      ? swapped
      : emit('Gather', [swapped, list(Array.from({ length: taps }, (_, i) => taps - 1 - i))], { axis: 3 })
  return emit('Reshape', [reversed, list([channels, w[0] / group, ...w.slice(2)])])
}

/** Any stride: ConvTranspose is the adjoint of Conv by definition; what the stride left over becomes output padding. */
const transposed: Formulation = {
  name: 'transposed',
  applies: () => true,
  write(context) {
    const { x, y, windows, group } = geometry(context)
    const { kernel, strides, dilations, begin, end } = windows
    const rest = kernel.map((size, axis) => {
      const covered = (y[axis + 2] - 1) * strides[axis] + (size - 1) * dilations[axis] + 1
      return x[axis + 2] - (covered - begin[axis] - end[axis])
    })
    const attributes = { strides: [...strides], dilations: [...dilations], pads: [...begin, ...end], group }
    return [context.emit('ConvTranspose', context.inputs, { ...attributes, output_padding: rest })]
  },
}

export const convGradX: readonly Formulation[] = [flipped, transposed]
