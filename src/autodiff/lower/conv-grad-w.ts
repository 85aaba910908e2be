import { convolutionWindows } from '../../ir/families/convolution-rules.ts'
import { intAttribute } from '../../ir/model.ts'
import { resultShape, type Windows } from '../../ir/windows.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { matmul, type Formulation, type LowerContext } from './formulation.ts'

/** Up to this many input channels a convolution over the batch beats matrix products that short. */
const fewChannels = 6

interface Geometry {
  /** [batch, channels, ...spatial] */
  readonly x: readonly number[]
  /** [batch, filters, ...outputs] */
  readonly y: readonly number[]
  /** [filters, channels / groups, ...kernel] */
  readonly w: readonly number[]
  readonly windows: Windows
  readonly group: number
}

function geometry({ node, inputs: [dy, x], shape }: LowerContext): Geometry {
  const w = resultShape(node)
  const windows = convolutionWindows(node, shape(x!), w)
  return { x: shape(x!), y: shape(dy!), w, windows, group: intAttribute(node, 'group', 1) }
}

function isDepthwise({ x, w, group }: Geometry): boolean {
  return group === x[1] && w[1] === 1 && w[0] === group
}

/** The multi-indices of the kernel's taps, in row-major order. */
function taps(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>((all, size) => all.flatMap((tap) => range(size).map((k) => [...tap, k])), [[]])
}

function range(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, i) => from + i)
}

/** Pads the spatial axes, which start at `axis`, with zeros. */
function pad({ emit, literal, shape }: LowerContext, value: string, windows: Windows, axis: number): string {
  if ([...windows.begin, ...windows.end].every((each) => each === 0)) return value
  const rest = shape(value).length - axis - windows.begin.length
  const one = (pads: readonly number[]) => [...range(axis).fill(0), ...pads, ...range(rest).fill(0)]
  return emit('Pad', [value, literal(int64([...one(windows.begin), ...one(windows.end)]))])
}

/** The elements of a padded value that a tap of the kernel meets, one for each output; spatial axes start at `axis`. */
function meet(
  context: LowerContext,
  value: string,
  { y, windows }: Geometry,
  tap: readonly number[],
  axis: number,
): string {
  const { emit, literal, shape } = context
  const { strides, dilations } = windows
  const starts = tap.map((k, i) => k * dilations[i])
  const ends = starts.map((start, i) => start + (y[i + 2] - 1) * strides[i] + 1)
  const sizes = shape(value)
  const axes = range(tap.length, axis).filter(
    (each, i) => starts[i] !== 0 || strides[i] !== 1 || ends[i] !== sizes[each],
  )
  if (axes.length === 0) return value
  const pick = (values: readonly number[]) => literal(int64(axes.map((each) => values[each - axis])))
  const steps = strides.every((stride) => stride === 1) ? [] : [pick(strides)]
  return emit('Slice', [value, pick(starts), pick(ends), literal(int64(axes)), ...steps])
}

/** One tap: dw = sum over the batch of dy x^T, both as they lie in memory. */
const pointwise: Formulation = {
  name: 'pointwise',
  applies: (context) => elementCount(geometry(context).windows.kernel) === 1,
  prefers: (context) => geometry(context).w[1] > 1,
  write(context) {
    const shapes = geometry(context)
    const { y, w, group } = shapes
    const { emit, literal, inputs } = context
    const list = (values: number[]) => literal(int64(values))
    const outputs = elementCount(y.slice(2))
    const met = meet(context, pad(context, inputs[1]!, shapes.windows, 2), shapes, range(y.length - 2).fill(0), 2)
    const split = (value: string, channels: number) =>
      emit('Reshape', [value, list(group === 1 ? [y[0], channels, outputs] : [y[0], group, channels / group, outputs])])
    const products = matmul(context, split(inputs[0]!, w[0]), split(met, w[1] * group), { transB: true })
    const sum = emit('ReduceSum', [products, list([0])], { keepdims: 0 })
    return [emit('Reshape', [sum, list([...w])])]
  },
}

/**
 * One batched matrix product a tap: dy [batch, groups, filters / groups, outputs] by what the tap meets of a
 * channels-last copy of x [batch, groups, outputs, channels / groups], summed over the batch. Neither side is
 * transposed inside the product, and the batch spreads over threads.
 */
const tapProducts: Formulation = {
  name: 'tap-products',
  applies: () => true,
  prefers: (context) => context.target.backend === 'cpu' && geometry(context).w[1] > fewChannels,
  write(context) {
    const { x, windows, group } = geometry(context)
    const { emit, literal, inputs, shape } = context
    const padded = pad(context, inputs[1]!, windows, 2)
    const lead = group === 1 ? [x[0]] : [x[0], group]
    const grouped =
      group === 1
        ? padded
        : emit('Reshape', [padded, literal(int64([...lead, x[1] / group, ...shape(padded).slice(2)]))])
    const first = lead.length
    const perm = [...range(first), ...range(windows.kernel.length, first + 1), first]
    return [productsOfTaps(context, emit('Transpose', [grouped], { perm }))]
  },
}

/**
 * The sum over the batch of dy times what each tap meets.
 * @param last x, padded, channels last: [batch, groups where there are several, ...spatial, channels / groups].
 */
function productsOfTaps(context: LowerContext, last: string): string {
  const shapes = geometry(context)
  const { y, w, windows, group } = shapes
  const { emit, literal, inputs } = context
  const list = (values: number[]) => literal(int64(values))
  const lead = group === 1 ? [y[0]] : [y[0], group]
  const outputs = elementCount(y.slice(2))
  const dy = emit('Reshape', [inputs[0], list([...lead, w[0] / group, outputs])])
  const products = taps(windows.kernel).map((tap) => {
    const met = emit('Reshape', [meet(context, last, shapes, tap, lead.length), list([...lead, outputs, w[1]])])
    const sum = emit('ReduceSum', [emit('MatMul', [dy, met]), list([0])], { keepdims: 0 })
    return emit('Reshape', [sum, list([1, w[0], w[1]])])
  })
  const all = products.length === 1 ? products[0] : emit('Concat', products, { axis: 0 })
  return emit('Reshape', [emit('Transpose', [all], { perm: [1, 2, 0] }), list([...w])])
}

/** The same where a channels-last copy of x [batch, ...spatial, channels] is at hand; without groups. */
export function gradWFromChannelsLast(context: LowerContext, last: string): string {
  return productsOfTaps(context, pad(context, last, geometry(context).windows, 1))
}

/**
 * The convolution trick: batch and channels change places, so that x is slid over with dy as the kernel; strides and
 * dilations change places too. With groups, those of the batch are the groups of the convolution.
 */
const batchConvolution: Formulation = {
  name: 'batch-convolution',
  applies: () => true,
  prefers: (context) =>
    context.target.backend === 'wasm' ||
    (isDepthwise(geometry(context))
      ? geometry(context).windows.strides.some((stride) => stride > 1)
      : geometry(context).group === 1),
  write(context) {
    const { x, y, w, windows, group } = geometry(context)
    const { emit, literal, inputs, shape } = context
    const list = (values: number[]) => literal(int64(values))
    const spatial = range(x.length - 2)
    const image =
      group === 1
        ? emit('Transpose', [inputs[1]], { perm: [1, 0, ...spatial.map((axis) => axis + 2)] })
        : emit('Reshape', [
            emit('Transpose', [emit('Reshape', [inputs[1], list([x[0], group, w[1], ...x.slice(2)])])], {
              perm: [2, 1, 0, ...spatial.map((axis) => axis + 3)],
            }),
            list([w[1], group * x[0], ...x.slice(2)]),
          ])
    const kernel = emit('Transpose', [inputs[0]], { perm: [1, 0, ...spatial.map((axis) => axis + 2)] })
    const slid = emit('Conv', [image, kernel], {
      strides: [...windows.dilations],
      dilations: [...windows.strides],
      pads: [...windows.begin, ...windows.end],
      group,
      kernel_shape: y.slice(2),
    })
    // Where the stride left a rest, more positions fit than the kernel has.
    const rest = shape(slid).some((size, axis) => axis >= 2 && size !== w[axis])
    const axes = spatial.map((axis) => axis + 2)
    const cut = rest ? emit('Slice', [slid, list(axes.map(() => 0)), list(w.slice(2)), list(axes)]) : slid
    return [emit('Transpose', [cut], { perm: [1, 0, ...axes] })]
  },
}

/** Depthwise: an elementwise product and a sum a tap. */
const tapSums: Formulation = {
  name: 'tap-sums',
  applies: (context) => isDepthwise(geometry(context)),
  prefers: (context) => geometry(context).windows.strides.every((stride) => stride === 1),
  write(context) {
    const shapes = geometry(context)
    const { emit, literal, inputs } = context
    const padded = pad(context, inputs[1]!, shapes.windows, 2)
    const axes = literal(int64([0, ...range(shapes.y.length - 2, 2)]))
    const sums = taps(shapes.windows.kernel).map((tap) => {
      const product = emit('Mul', [inputs[0], meet(context, padded, shapes, tap, 2)])
      return emit('Reshape', [emit('ReduceSum', [product, axes], { keepdims: 0 }), literal(int64([-1, 1]))])
    })
    const all = sums.length === 1 ? sums[0] : emit('Concat', sums, { axis: 1 })
    return [emit('Reshape', [all, literal(int64([...shapes.w]))])]
  },
}

export const convGradW: readonly Formulation[] = [tapSums, pointwise, tapProducts, batchConvolution]
