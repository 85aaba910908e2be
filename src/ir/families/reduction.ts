/** Operators that reduce some axes to one element: ReduceSum and its kin, in the form with axes as an input. */
import { fromNumbers, integersOf, toNumbers } from '../../tensor/elements.ts'
import { rowMajorStrides, walk } from '../../tensor/shape.ts'
import { elementCount, int64, type Tensor } from '../../tensor/tensor.ts'
import { elementType } from '../element-type.ts'
import { intAttribute, type Dim, type Node } from '../model.ts'
import { defineOperator, type ChannelTie, type CostContext, type GradientContext, type Operator } from '../operator.ts'
import type { InferContext, Sample } from '../operator.ts'
import { gradientIntegers, inferredIntegers, integersAt, normalizeAxes, required } from './axes.ts'
import { range } from './movement.ts'
import { spread } from './samples.ts'

/** What the gradient rule of a reduction sees besides the context. */
export interface ReductionGradient extends GradientContext {
  readonly x: string
  /** The result and its gradient with the reduced axes kept at size 1, so that both broadcast against `x`. */
  readonly y: string
  readonly dy: string
  /** How many elements each result takes in. */
  readonly count: number
  /** Sums over the reduced axes, which stay at size 1. */
  readonly sum: (value: string) => string
}

export interface ReductionFacts {
  readonly type: string
  readonly since: number
  readonly summary: string
  /** The result of reducing nothing, and where the reduction starts. */
  readonly initial: number
  readonly join: (sum: number, value: number) => number
  readonly finish?: (sum: number, count: number) => number
  /** Whether elements of zero leave the result as it is, so that reduced channels may be cut; default false. */
  readonly additive?: boolean
  /** Emits the gradient of x; it may be of any shape that broadcasts to that of x. */
  readonly derivative: (context: ReductionGradient) => string
  /** Lowest and highest number in the samples; default -2 and 2. */
  readonly range?: readonly [number, number]
}

/** Defines a reduction: [...any], axes [k] -> [...rest], with `keepdims` and `noop_with_empty_axes`. */
export function defineReductionOperator(facts: ReductionFacts): Operator {
  const { initial, join, finish, derivative, range: bounds, additive = false, ...rest } = facts
  return defineOperator({
    ...rest,
    infer: inferReduction,
    evaluate: (context) => {
      const x = required(context, 0)
      const axes = reducedAxes(context.node, x.shape.length, integersAt(context, 1))
      const sums = reduce(x, axes, initial, join)
      const count = elementCount(axes.map((axis) => x.shape[axis]))
      if (finish) for (let i = 0; i < sums.length; i++) sums[i] = finish(sums[i], count)
      return [fromNumbers(x.dtype, reducedShape(context.node, x.shape, axes) as number[], sums)]
    },
    gradient: (context) => {
      const reduction = reductionGradient(context)
      const dx = derivative(reduction)
      const shape = context.shape(reduction.x)
      if (context.shape(dx).join() === shape.join()) return [dx]
      return [context.emit('Expand', [dx, context.literal(int64(shape))])]
    },
    coupling: (context) => reductionTies(context, additive),
    samples: reductionSamples(bounds ?? [-2, 2]),
  })
}

/** Without axes all are reduced, or with `noop_with_empty_axes` none: each element is then reduced alone. */
function reducedAxes(node: Node, rank: number, axes: readonly number[] | undefined): number[] {
  if (axes && axes.length > 0) return normalizeAxes(axes, rank, node)
  return intAttribute(node, 'noop_with_empty_axes', 0) === 1 ? [] : range(0, rank)
}

function reducedShape(node: Node, shape: readonly Dim[], axes: readonly number[]): Dim[] {
  const keep = intAttribute(node, 'keepdims', 1) === 1
  return shape.flatMap((size, axis) => (axes.includes(axis) ? (keep ? [1] : []) : [size]))
}

function inferReduction(context: InferContext): ReturnType<Operator['infer']> {
  const { node } = context
  const [x] = context.inputs
  if (!x?.shape) return [x && { dtype: x.dtype }]
  const given = inferredIntegers(context, 1)
  if (given === 'unknown') {
    const keep = intAttribute(node, 'keepdims', 1) === 1
    return [keep ? { dtype: x.dtype, shape: x.shape.map(() => null) } : { dtype: x.dtype }]
  }
  const axes = reducedAxes(node, x.shape.length, given === 'absent' ? undefined : given)
  return [{ dtype: x.dtype, shape: reducedShape(node, x.shape, axes) }]
}

/** Reduces with double precision; the result is row-major over the axes that stay. */
export function reduce(
  tensor: Tensor,
  axes: readonly number[],
  initial: number,
  join: (sum: number, value: number) => number,
): Float64Array {
  const kept = tensor.shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
  const strides = rowMajorStrides(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride))
  const result = new Float64Array(elementCount(kept)).fill(initial)
  const values = toNumbers(tensor)
  walk(tensor.shape, strides, strides, (index, target) => {
    result[target] = join(result[target], values[index])
  })
  return result
}

function reductionGradient(context: GradientContext): ReductionGradient {
  const { node, emit, literal, shape } = context
  const x = context.inputs[0]!
  const axes = reducedAxes(node, shape(x).length, gradientIntegers(context, 1))
  const kept = int64(shape(x).map((size, axis) => (axes.includes(axis) ? 1 : size)))
  const keepdims = intAttribute(node, 'keepdims', 1) === 1
  const restore = (value: string) => (keepdims ? value : emit('Reshape', [value, literal(kept)]))
  return {
    ...context,
    x,
    get y() {
      return restore(context.outputs[0])
    },
    dy: restore(context.outputGradients[0]!),
    count: elementCount(axes.map((axis) => shape(x)[axis])),
    sum: (value) => (axes.length === 0 ? value : emit('ReduceSum', [value, literal(int64(axes))], { keepdims: 1 })),
  }
}

/** The axes that stay tie input and output; a reduced axis can be cut where zeros add nothing. */
function reductionTies({ node, inputs: [x, given], constant }: CostContext, additive: boolean): ChannelTie[] {
  const rank = x!.shape.length
  const value = constant?.(1)
  if (given && !value) return []
  const axes = reducedAxes(node, rank, value && integersOf(value))
  const keepdims = intAttribute(node, 'keepdims', 1) === 1
  const stay = range(0, rank).filter((axis) => !axes.includes(axis))
  const summed: ChannelTie[] = additive ? axes.map((axis) => ({ ports: [{ side: 'input', index: 0, axis }] })) : []
  return [
    ...summed,
    ...stay.map((axis, position): ChannelTie => ({
      ports: [
        { side: 'input', index: 0, axis },
        { side: 'output', index: 0, axis: keepdims ? axis : position },
      ],
    })),
  ]
}

function reductionSamples([low, high]: readonly [number, number]): Sample[] {
  return [
    { name: 'one axis, kept', inputs: [spread([2, 3, 5], low, high), int64([1])] },
    {
      name: 'negative axes, dropped',
      inputs: [spread([3, 2, 4], low, high), int64([-1, 0])],
      attributes: { keepdims: 0 },
    },
    { name: 'all axes', inputs: [spread([3, 3], low, high)], attributes: { keepdims: 0 } },
    {
      name: 'each element alone',
      inputs: [spread([2, 2], low, high), int64([])],
      attributes: { noop_with_empty_axes: 1 },
    },
  ]
}

/** The gradient of ReduceMax and ReduceMin: that of the result, shared evenly among the elements that equal it. */
export function reducedExtremumGradient({ x, y, dy, sum, dtype, emit }: ReductionGradient): string {
  const mask = emit('Cast', [emit('Equal', [x, y])], { to: elementType(dtype(x)) })
  return emit('Mul', [mask, emit('Div', [dy, sum(mask)])])
}
