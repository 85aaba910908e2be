/** Row-major shapes: strides, numpy broadcasting, and walking several arrays at once. */
import { ModelError } from '../errors.ts'

/** Elements between neighbours along each axis of a dense row-major array. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = Array.from<number>({ length: shape.length })
  let stride = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= shape[axis]
  }
  return strides
}

/** The shape that numpy's broadcasting gives. @throws ModelError when two sizes differ and neither is 1. */
export function broadcastShape(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length))
  const result = Array.from({ length: rank }, () => 1)
  for (const shape of shapes) {
    const lead = rank - shape.length
    for (let axis = 0; axis < shape.length; axis++) {
      const size = shape[axis]
      if (size === 1 || size === result[lead + axis]) continue
      if (result[lead + axis] !== 1)
        throw new ModelError(
          'shape-broadcast',
          `shapes ${shapes.map((each) => `[${each.join(', ')}]`).join(' and ')} do not broadcast`,
        )
      result[lead + axis] = size
    }
  }
  return result
}

/** Strides with which an array of `shape` is read as if it had the shape `target`: 0 along repeated axes. */
export function broadcastStrides(shape: readonly number[], target: readonly number[]): number[] {
  const dense = rowMajorStrides(shape)
  const lead = target.length - shape.length
  return target.map((_, axis) => (axis < lead || shape[axis - lead] === 1 ? 0 : dense[axis - lead]))
}

/**
 * Visits every element of `shape` in row-major order: its running index, and the offsets that two stride vectors give it.
 */
export function walk(
  shape: readonly number[],
  first: readonly number[],
  second: readonly number[],
  visit: (index: number, first: number, second: number) => void,
): void {
  if (shape.includes(0)) return
  const last = shape.length - 1
  let index = 0
  const level = (axis: number, a: number, b: number): void => {
    if (axis > last) {
      visit(index++, a, b)
      return
    }
    const size = shape[axis]
    const stepA = first[axis]
    const stepB = second[axis]
    if (axis === last) for (let i = 0; i < size; i++) visit(index++, a + i * stepA, b + i * stepB)
    else for (let i = 0; i < size; i++) level(axis + 1, a + i * stepA, b + i * stepB)
  }
  level(0, 0, 0)
}
