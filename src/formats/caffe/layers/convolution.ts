import { defineCaffeLayer, unsupported, type LayerContext } from '../layer.ts'

/** Two numbers, for height and width, of an option such as `stride`, `stride_h` and `stride_w`. */
export function spatialOption(
  context: LayerContext,
  name: string,
  base: string,
  fallback: number | undefined,
  least = 1,
) {
  const { options } = context
  const all = options.integers(name, least)
  const sides = ['h', 'w'].map((side) => options.integer(`${base}_${side}`, least))
  const [height = all[0] ?? fallback, width = all[1] ?? all[0] ?? fallback] = sides
  if (all.length > 2 || height === undefined || width === undefined)
    throw unsupported(context, `has no ${name} of two numbers`, 'Only convolution and pooling of images are supported.')
  return [height, width] as const
}

/** The input's shape. @throws UnsupportedError when it is not that of images, `[batch, channels, height, width]`. */
export function imageShape(context: LayerContext): readonly [number, number, number, number] {
  const { shape } = context.inputs[0]
  if (shape.length === 4) return shape as unknown as readonly [number, number, number, number]
  throw unsupported(context, `reads a blob of ${shape.length} axes`, 'Only images, blobs of four axes, are supported.')
}

/** @throws UnsupportedError when a window is larger than what it slides over. */
export function checkWindows(context: LayerContext, counts: readonly number[]): void {
  if (counts.every((count) => count >= 1)) return
  throw unsupported(context, 'has a kernel larger than its input', 'Check the size of the input and the layers before.')
}

/** [N, in, H, W] -> [N, out, H', W'], with weights [out, in / groups, h, w]. */
export const convolution = defineCaffeLayer({
  type: 'Convolution',
  options: 'convolution_param',
  ignored: ['weight_filler', 'bias_filler', 'engine', 'force_nd_im2col'],
  build(context) {
    const { options, inputs, emit, parameters } = context
    const [batch, channels, ...size] = imageShape(context)
    const kernel = spatialOption(context, 'kernel_size', 'kernel', undefined)
    const strides = spatialOption(context, 'stride', 'stride', 1)
    const padding = spatialOption(context, 'pad', 'pad', 0, 0)
    const dilations = spatialOption(context, 'dilation', 'dilation', 1)
    const group = options.integer('group', 1) ?? 1
    const outputs = options.integer('num_output', 1)
    if (outputs === undefined || channels % group !== 0 || outputs % group !== 0)
      throw unsupported(
        context,
        `makes ${outputs ?? 'no'} outputs of ${channels} channels in ${group} groups`,
        'Check num_output and group.',
      )
    if ((options.integer('axis') ?? 1) !== 1)
      throw unsupported(context, 'has its channels along another axis', 'Only axis 1 is supported.')
    checkBias(context)
    // Caffe rounds down here, as ONNX does, and up in pooling.
    const counts = size.map((length, axis) => {
      const reach = dilations[axis] * (kernel[axis] - 1) + 1
      return Math.floor((length + 2 * padding[axis] - reach) / strides[axis]) + 1
    })
    checkWindows(context, counts)
    const value = emit('Conv', [inputs[0].value, ...parameters([outputs, channels / group, ...kernel])], {
      kernel_shape: kernel,
      ...(strides.some((stride) => stride > 1) ? { strides } : {}),
      ...(padding.some((zeros) => zeros > 0) ? { pads: [...padding, ...padding] } : {}),
      ...(dilations.some((step) => step > 1) ? { dilations } : {}),
      ...(group > 1 ? { group } : {}),
    })
    return { value, shape: [batch, outputs, ...counts] }
  },
})

/** @throws UnsupportedError when the layer has no bias. */
export function checkBias(context: LayerContext): void {
  if (context.options.flag('bias_term') ?? true) return
  throw unsupported(context, 'has no bias', 'The file with the weights has room for the biases of every layer.')
}
