/** Operators that only move elements, of any type. */
import { allocateElements, elementsOf, fromElements } from '../../tensor/elements.ts'
import { rowMajorStrides, walk } from '../../tensor/shape.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import type { ChannelTie, CostContext } from '../operator.ts'

/** Source indices along one axis for each target index; -1 takes the fill value, undefined all indices in order. */
export type AxisTable = ArrayLike<number> | undefined

/**
 * Gathers along every axis at once: target[i, j, ...] = source[tables[0][i], tables[1][j], ...].
 * Slices, repetitions, padding and gathers are all of this form.
 * @param fill a one-element tensor for places where a table says -1; default zero.
 */
export function takeAxes(tensor: Tensor, tables: readonly AxisTable[], fill?: Tensor): Tensor {
  const shape = tensor.shape.map((size, axis) => tables[axis]?.length ?? size)
  const source = elementsOf(tensor)
  const target = allocateElements(tensor.dtype, elementCount(shape))
  if (fill) target.fill(elementsOf(fill)[0] as never)
  const strides = rowMajorStrides(tensor.shape)
  const last = shape.length - 1
  let index = 0
  const rest = (axis: number) => shape.slice(axis).reduce((product, size) => product * size, 1)
  const restCounts = shape.map((_, axis) => rest(axis + 1))
  const level = (axis: number, offset: number): void => {
    const table = tables[axis]
    const stride = strides[axis]
    for (let i = 0; i < shape[axis]; i++) {
      const position = table ? table[i] : i
      if (position < 0) index += restCounts[axis]
      else if (axis === last) target[index++] = source[offset + position * stride]
      else level(axis + 1, offset + position * stride)
    }
  }
  if (last < 0) target[0] = source[0]
  else if (target.length > 0) level(0, 0)
  return fromElements(tensor.dtype, shape, target)
}

/** Reads the tensor through other strides: transposes and repetitions along new axes. */
export function takeStrided(tensor: Tensor, shape: readonly number[], strides: readonly number[]): Tensor {
  const source = elementsOf(tensor)
  const target = allocateElements(tensor.dtype, elementCount(shape))
  walk(shape, strides, strides, (index, offset) => {
    target[index] = source[offset]
  })
  return fromElements(tensor.dtype, shape, target)
}

/** Joins tensors of one type along an axis. */
export function concatenate(tensors: readonly Tensor[], axis: number): Tensor {
  const [{ dtype, shape: first }] = tensors
  const shape = first.map((size, i) => (i === axis ? tensors.reduce((sum, each) => sum + each.shape[axis], 0) : size))
  const target = allocateElements(dtype, elementCount(shape))
  const inner = elementCount(shape.slice(axis + 1))
  const row = shape[axis] * inner
  let start = 0
  for (const tensor of tensors) {
    const source = elementsOf(tensor)
    const chunk = tensor.shape[axis] * inner
    for (let from = 0, to = start; from < source.length; from += chunk, to += row)
      for (let i = 0; i < chunk; i++) target[to + i] = source[from + i]
    start += chunk
  }
  return fromElements(dtype, shape, target)
}

/** The integers from `start` towards `end`, which is left out. */
export function range(start: number, end: number, step = 1): number[] {
  return Array.from({ length: Math.max(0, Math.ceil((end - start) / step)) }, (_, i) => start + i * step)
}

/** Ties each axis of the input to the same one of the output where the operator leaves its size alone. */
export function unchangedAxes({ inputs: [x], outputs: [y] }: CostContext): readonly ChannelTie[] {
  return x!.shape.flatMap((size, axis): ChannelTie[] => {
    if (size !== y.shape[axis]) return []
    const ports = [
      { side: 'input', index: 0, axis },
      { side: 'output', index: 0, axis },
    ] as const
    return [{ ports }]
  })
}
