/** Affine quantization, code = round(x / scale) + zero point: element ranges, granularities and channel ties. */
import type { DType } from '../../tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { roundEven } from '../../tensor/half.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import { intAttribute, type Dim, type Node } from '../model.ts'
import type { ChannelPort, ChannelTie, CostContext } from '../operator.ts'
import { windowError } from '../windows.ts'
import { normalizeAxis } from './axes.ts'

const ranges: { readonly [T in DType]?: readonly [number, number] } = {
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
}

/** Codes from numbers: rounded to nearest even, shifted and saturated. */
export function toCodes(
  dtype: DType,
  shape: readonly number[],
  values: Float64Array,
  zeroPoint: (index: number) => number,
): Tensor {
  const [low, high] = ranges[dtype] ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
  return fromNumbers(
    dtype,
    shape,
    values.map((value, i) => Math.min(high, Math.max(low, roundEven(value) + zeroPoint(i)))),
  )
}

/** How scales and zero points are laid over a tensor. */
export type Granularity =
  | { readonly kind: 'tensor' }
  /** One entry an index of `axis`. */
  | { readonly kind: 'axis'; readonly axis: number }
  /** One entry for `size` consecutive indices of `axis`, and an entry an index of every other axis. */
  | { readonly kind: 'block'; readonly axis: number; readonly size: number }

/** Reads the granularity from the attributes axis and block_size and the ranks. @throws ModelError when they do not fit. */
export function granularityOf(node: Node, x: readonly Dim[], scale: readonly Dim[]): Granularity {
  if (scale.length === 0) return { kind: 'tensor' }
  const size = intAttribute(node, 'block_size', 0)
  if (size === 0 && scale.length === 1 && scale[0] === 1) return { kind: 'tensor' }
  if (size === 0 && scale.length === 1)
    return { kind: 'axis', axis: normalizeAxis(intAttribute(node, 'axis', 1), x.length, node) }
  if (size > 0 && scale.length === x.length)
    return { kind: 'block', axis: normalizeAxis(intAttribute(node, 'axis', 1), x.length, node), size }
  throw windowError(node, `scales with ${scale.length} axes and blocks of ${size} do not fit a value with ${x.length}`)
}

/** Where the scale of each element of a tensor of `shape` lies, by flat indices. */
export function scaleIndices(granularity: Granularity, shape: readonly number[]): (index: number) => number {
  if (granularity.kind === 'tensor') return () => 0
  const { axis } = granularity
  const inner = elementCount(shape.slice(axis + 1))
  const size = shape[axis]
  if (granularity.kind === 'axis') return (i) => Math.floor(i / inner) % size
  const blocks = Math.ceil(size / granularity.size)
  return (i) => {
    const block = Math.floor((Math.floor(i / inner) % size) / granularity.size)
    return (Math.floor(i / (inner * size)) * blocks + block) * inner + (i % inner)
  }
}

/** The zero point of each element: that of its scale, or zero. */
export function zeroPoints(tensor: Tensor | undefined, at: (index: number) => number): (index: number) => number {
  if (!tensor) return () => 0
  const values = toNumbers(tensor)
  return (i) => values[at(i)]
}

/** x, its codes, scales (input 1) and zero points (input 2) are cut together; a block only as a whole. */
export function quantizationTies({ node, inputs: [x, scale, zeroPoint] }: CostContext): ChannelTie[] {
  const granularity = granularityOf(node, x!.shape, scale!.shape)
  return x!.shape.flatMap((size, axis): ChannelTie[] => {
    const block = granularity.kind === 'block' && granularity.axis === axis ? granularity.size : 1
    if (size % block !== 0) return []
    const scales = (): ChannelPort[] => {
      const own = granularity.kind === 'block' ? axis : 0
      const ports: ChannelPort[] = [{ side: 'input', index: 1, axis: own }]
      return zeroPoint ? [...ports, { side: 'input', index: 2, axis: own }] : ports
    }
    const tied = granularity.kind === 'block' || (granularity.kind === 'axis' && granularity.axis === axis)
    return [
      {
        ports: [
          { side: 'input', index: 0, axis, repeat: block },
          ...(tied ? scales() : []),
          { side: 'output', index: 0, axis, repeat: block },
        ],
      },
    ]
  })
}
