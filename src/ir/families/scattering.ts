/** Indices into tensors, and the gradients that put elements back to where they were taken. */
import { UnsupportedError } from '../../errors.ts'
import { integersOf } from '../../tensor/elements.ts'
import { rowMajorStrides } from '../../tensor/shape.ts'
import { elementCount, int64, type Tensor } from '../../tensor/tensor.ts'
import { intAttribute, stringAttribute, type Node } from '../model.ts'
import type { GradientContext } from '../operator.ts'
import { nodeError, normalizeAxis } from './axes.ts'
import { range } from './movement.ts'

/** Offsets into data for GatherElements and ScatterElements: the index's own place, but the index along `axis`. */
export function alongAxis(
  node: Node,
  shape: readonly number[],
  indexShape: readonly number[],
  indices: readonly number[],
): number[] {
  const axis = normalizeAxis(intAttribute(node, 'axis', 0), shape.length, node)
  const strides = rowMajorStrides(shape)
  const steps = rowMajorStrides(indexShape)
  return indices.map((index, place) => {
    const position = within(node, index, shape[axis])
    let offset = position * strides[axis]
    for (const [i, size] of indexShape.entries())
      if (i !== axis) offset += (Math.floor(place / steps[i]) % size) * strides[i]
    return offset
  })
}

/** Offsets of the slices that index tuples name: indices [...batch, ...i, k]. */
export function rowOffsets(node: Node, shape: readonly number[], indices: Tensor, batch: number): number[] {
  const depth = indices.shape.at(-1)!
  const strides = rowMajorStrides(shape)
  const tuples = integersOf(indices)
  const perBatch = elementCount(indices.shape.slice(batch, -1))
  return range(0, elementCount(indices.shape.slice(0, -1))).map((row) => {
    let offset = batch > 0 ? Math.floor(row / perBatch) * strides[batch - 1] : 0
    for (let i = 0; i < depth; i++)
      offset += within(node, tuples[row * depth + i], shape[batch + i]) * strides[batch + i]
    return offset
  })
}

function within(node: Node, index: number, size: number): number {
  if (index < -size || index >= size)
    throw nodeError(node, 'index-range', `index ${index} is outside of an axis of size ${size}`)
  return index < 0 ? index + size : index
}

const joins: Readonly<Record<string, (old: number, update: number) => number>> = {
  add: (old, update) => old + update,
  mul: (old, update) => old * update,
  max: Math.max,
  min: Math.min,
}

/** How a scatter joins an update with what is there; undefined where it overwrites. */
export function scatterJoin(node: Node): ((old: number, update: number) => number) | undefined {
  return joins[stringAttribute(node, 'reduction', 'none')]
}

/** The reduction of a scatter that can be differentiated. @throws UnsupportedError for products and extrema. */
export function scatterReduction({ node }: GradientContext): 'none' | 'add' {
  const reduction = stringAttribute(node, 'reduction', 'none')
  if (reduction === 'none' || reduction === 'add') return reduction
  throw new UnsupportedError('no-gradient', `${node.op} with reduction ${reduction} has no gradient here`, {
    place: node.name || node.outputs[0],
  })
}

/** Zeros of the shape and type of a value. */
export function zerosLike({ emit, literal, shape }: GradientContext, value: string): string {
  return emit('Expand', [literal(0, value), literal(int64(shape(value)))])
}

/** Puts zeros around the gradient, where a slice had cut. */
export function padBackwards(
  { emit, literal }: GradientContext,
  dy: string,
  before: readonly number[],
  after: readonly number[],
): string {
  if ([...before, ...after].every((count) => count === 0)) return dy
  return emit('Pad', [dy, literal(int64([...before, ...after]))])
}

/**
 * The gradient of taking different places of an axis: a row of zeros is added at the end, and a Gather reads for each
 * source place the row that was taken from it, or the zeros.
 */
export function gatherBackwards(
  context: GradientContext,
  dy: string,
  axis: number,
  places: readonly number[],
  size: number,
): string {
  const rank = context.shape(dy).length
  const after = range(0, rank).map((each) => (each === axis ? 1 : 0))
  const padded = padBackwards(
    context,
    dy,
    range(0, rank).map(() => 0),
    after,
  )
  const rows = range(0, size).map(() => places.length)
  for (const [row, place] of places.entries()) rows[place] = row
  return context.emit('Gather', [padded, context.literal(int64(rows))], { axis })
}

/** The gradient of taking places of an axis, some of them more than once: sums. */
export function scatterAlong(
  { emit, literal, shape }: GradientContext,
  dy: string,
  axis: number,
  places: readonly number[],
  size: number,
): string {
  const target = shape(dy).map((each, i) => (i === axis ? size : each))
  return emit('espalier.GatherGrad', [dy, literal(int64(places))], { axis, shape: target })
}
