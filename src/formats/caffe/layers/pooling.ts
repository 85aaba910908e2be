import type { LayerContext } from '../layer.ts'
import { defineCaffeLayer, unsupported } from '../layer.ts'
import { checkWindows, imageShape, spatialOption } from './convolution.ts'

/**
 * [N, C, H, W] -> [N, C, H', W'] by the largest or the mean of each window. Caffe rounds the number of windows up, then
 * drops a last window that would begin in the padding, and a mean divides by as many elements as the window has inside
 * the padded image.
 */
export const pooling = defineCaffeLayer({
  type: 'Pooling',
  options: 'pooling_param',
  ignored: ['engine'],
  build(context) {
    const { options, inputs, emit } = context
    const [batch, channels, ...size] = imageShape(context)
    const kind = options.text('pool') ?? 'MAX'
    const mean = kind === 'AVE' || kind === '1'
    if (!mean && kind !== 'MAX' && kind !== '0')
      throw unsupported(context, `pools by ${kind}`, 'Only MAX and AVE are supported.')
    if (options.flag('global_pooling'))
      return {
        value: emit(mean ? 'GlobalAveragePool' : 'GlobalMaxPool', [inputs[0].value]),
        shape: [batch, channels, 1, 1],
      }
    const kernel = spatialOption(context, 'kernel_size', 'kernel', undefined)
    const strides = spatialOption(context, 'stride', 'stride', 1)
    const padding = spatialOption(context, 'pad', 'pad', 0, 0)
    const mode = options.text('round_mode') ?? 'CEIL'
    const counts = size.map((length, axis) =>
      windowCount(length, kernel[axis], strides[axis], padding[axis], mode === 'FLOOR' || mode === '1'),
    )
    checkWindows(context, counts)
    /** By how much the last window goes beyond the image. */
    const beyond = counts.map((count, axis) =>
      Math.max(0, (count - 1) * strides[axis] + kernel[axis] - size[axis] - padding[axis]),
    )
    for (const axis of [0, 1])
      if (padding[axis] >= kernel[axis] || beyond[axis] >= kernel[axis])
        throw unsupported(context, 'has windows without any element', 'Check kernel_size, stride and pad.')
    const shape = [batch, channels, ...counts]
    const windows: Record<string, readonly number[]> = { kernel_shape: kernel }
    if (strides.some((stride) => stride > 1)) windows['strides'] = strides
    const pads = [...padding, ...beyond]
    const padded = pads.some((count) => count > 0) ? { ...windows, pads } : windows
    if (!mean) return { value: emit('MaxPool', [inputs[0].value], padded), shape }
    if (padding.every((zeros) => zeros === 0)) return { value: emit('AveragePool', [inputs[0].value], padded), shape }
    if (beyond.every((count, axis) => count <= padding[axis]))
      return {
        value: emit('AveragePool', [inputs[0].value], { ...padded, count_include_pad: 1 }),
        shape,
      }
    return { value: averageOfPadded(context, windows, padding, beyond), shape }
  },
})

/** The padding becomes part of the image, which counts; what windows have beyond it does not. */
function averageOfPadded(
  { layer, inputs, draft, emit }: LayerContext,
  windows: Record<string, readonly number[]>,
  padding: readonly number[],
  beyond: readonly number[],
): string {
  const amounts = BigInt64Array.from([0, 0, ...padding, 0, 0, ...padding], BigInt)
  const pads = draft.constant(`${layer.name}.pads`, { dtype: 'int64', shape: [8], data: amounts })
  const image = draft.add('Pad', [inputs[0].value, pads], {}, { name: `${layer.name}.padded` })
  const rest = beyond.map((count, axis) => Math.max(0, count - padding[axis]))
  return emit('AveragePool', [image], { ...windows, pads: [0, 0, ...rest] })
}

function windowCount(length: number, kernel: number, stride: number, padding: number, down: boolean): number {
  const steps = (length + 2 * padding - kernel) / stride
  const count = (down ? Math.floor(steps) : Math.ceil(steps)) + 1
  return padding > 0 && (count - 1) * stride >= length + padding ? count - 1 : count
}
