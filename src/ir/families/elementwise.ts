/** Operators that work element by element: one input, or several with numpy broadcasting. */
import { dtypes, type DType } from '../../tensor/dtype.ts'
import { fromBigInts, fromNumbers, toBigInts, toNumbers } from '../../tensor/elements.ts'
import { broadcastShape, broadcastStrides, walk } from '../../tensor/shape.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import { elementType } from '../element-type.ts'
import type { Node } from '../model.ts'
import { defineOperator, type GradientContext, type Operator, type Sample } from '../operator.ts'
import { required } from './axes.ts'
import { broadcastTies, broadcastType } from './broadcast.ts'

interface ElementwiseFacts {
  readonly type: string
  readonly domain?: string
  readonly since: number
  readonly summary: string
  readonly parameters?: readonly number[]
  /** The element type of the output where it is not that of the first input. */
  readonly result?: DType
  readonly differentiable?: 'none'
  readonly samples: readonly Sample[]
}

/** What the gradient rule of a unary operator sees besides the context. */
export interface UnaryGradient extends GradientContext {
  readonly x: string
  readonly y: string
  readonly dy: string
}

export interface UnaryFacts extends ElementwiseFacts {
  /** The function of one element, for a node's attributes. */
  readonly compute: (node: Node) => (x: number) => number
  /** The same for integers of 32 bits and more, where doubles could lose digits. */
  readonly exact?: (x: bigint) => bigint
  /** Emits the gradient of the input. */
  readonly derivative?: (context: UnaryGradient) => string
}

/** Defines an operator y = f(x): [...any] -> [...any]. */
export function defineUnaryOperator({ compute, exact, derivative, result, ...facts }: UnaryFacts): Operator {
  return defineOperator({
    ...facts,
    infer: ({ inputs: [x] }) => [x && { ...x, dtype: result ?? x.dtype }],
    evaluate: (context) => {
      const x = required(context, 0)
      if (exact && isWide(x.dtype)) return [fromBigInts(x.dtype, x.shape, mapExactly(toBigInts(x), exact))]
      const f = compute(context.node)
      return [
        fromNumbers(
          result ?? x.dtype,
          x.shape,
          toNumbers(x).map((value) => f(value)),
        ),
      ]
    },
    ...(derivative && { gradient: (context) => [derivative(unaryGradient(context))] }),
    coupling: broadcastTies,
  })
}

function unaryGradient(context: GradientContext): UnaryGradient {
  const [y] = context.outputs
  return { ...context, x: context.inputs[0]!, y, dy: context.outputGradients[0]! }
}

function mapExactly(values: BigInt64Array | BigUint64Array, f: (x: bigint) => bigint): BigInt64Array {
  const result = new BigInt64Array(values.length)
  for (let i = 0; i < result.length; i++) result[i] = f(values[i])
  return result
}

function isWide(dtype: DType): boolean {
  return dtypes[dtype].kind === 'integer' && dtypes[dtype].bits >= 32
}

export interface BinaryFacts extends ElementwiseFacts {
  /** The function of a pair, for a node's attributes and the element type of the first input. */
  readonly compute: (node: Node, dtype: DType) => (a: number, b: number) => number
  /** The same for integers of 32 bits and more, where doubles could lose digits; the result wraps around. */
  readonly exact?: (node: Node) => (a: bigint, b: bigint) => bigint
  readonly gradient?: Operator['gradient']
  readonly body?: Operator['body']
}

/** Defines an operator c = f(a, b) with broadcasting. */
export function defineBinaryOperator({ compute, exact, result, ...facts }: BinaryFacts): Operator {
  return defineOperator({
    ...facts,
    infer: ({ node, inputs: [a, b] }) => [broadcastType(node, [a, b], result ?? a?.dtype)],
    evaluate: (context) => {
      const [a, b] = [required(context, 0), required(context, 1)]
      const shape = broadcastShape(a.shape, b.shape)
      if (exact && isWide(a.dtype) && isWide(b.dtype)) return [combineExactly(a, b, shape, exact(context.node))]
      const values = combine(toNumbers(a), a.shape, toNumbers(b), b.shape, shape, compute(context.node, a.dtype))
      return [fromNumbers(result ?? a.dtype, shape, values)]
    },
    coupling: broadcastTies,
  })
}

/** Applies a function to two broadcast arrays. */
function combine(
  a: ArrayLike<number>,
  shapeA: readonly number[],
  b: ArrayLike<number>,
  shapeB: readonly number[],
  shape: readonly number[],
  f: (a: number, b: number) => number,
): Float64Array {
  const result = new Float64Array(elementCount(shape))
  if (a.length === result.length && b.length === result.length) {
    for (let i = 0; i < result.length; i++) result[i] = f(a[i], b[i])
    return result
  }
  walk(shape, broadcastStrides(shapeA, shape), broadcastStrides(shapeB, shape), (i, offsetA, offsetB) => {
    result[i] = f(a[offsetA], b[offsetB])
  })
  return result
}

function combineExactly(a: Tensor, b: Tensor, shape: readonly number[], f: (a: bigint, b: bigint) => bigint): Tensor {
  const [x, y] = [toBigInts(a), toBigInts(b)]
  const values = new BigInt64Array(elementCount(shape))
  walk(shape, broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape), (i, offsetA, offsetB) => {
    values[i] = f(x[offsetA], y[offsetB])
  })
  return fromBigInts(a.dtype, shape, values)
}

export interface VariadicFacts extends ElementwiseFacts {
  /** Joins the value so far with that of the next input. */
  readonly join: (a: number, b: number) => number
  /** Applied at the end, with the number of inputs. */
  readonly finish?: (value: number, count: number) => number
  readonly gradient?: Operator['gradient']
}

/** Defines an operator over any number of inputs with broadcasting: Sum, Max. */
export function defineVariadicOperator({ join, finish, result, ...facts }: VariadicFacts): Operator {
  return defineOperator({
    ...facts,
    infer: ({ node, inputs }) => [broadcastType(node, inputs, result)],
    evaluate: (context) => {
      const tensors = context.inputs.map((_, index) => required(context, index))
      const shape = broadcastShape(...tensors.map((tensor) => tensor.shape))
      let values = combine(toNumbers(tensors[0]), tensors[0].shape, [0], [], shape, (a) => a)
      for (const tensor of tensors.slice(1))
        values = combine(values, shape, toNumbers(tensor), tensor.shape, shape, join)
      if (finish) values = values.map((value) => finish(value, tensors.length))
      return [fromNumbers(tensors[0].dtype, shape, values)]
    },
    coupling: broadcastTies,
  })
}

/** The gradient that each input of Max or Min gets: that of the result where the input equals it; ties share evenly. */
export function extremumGradient(context: GradientContext): (string | undefined)[] {
  const { inputs, outputs, outputGradients, emit, dtype, shape, unbroadcast, wants } = context
  const [y] = outputs
  const dy = outputGradients[0]!
  if (inputs.length === 1) return [dy]
  const masks = inputs.map((x) => emit('Cast', [emit('Equal', [x, y])], { to: elementType(dtype(y)) }))
  const share = emit('Div', [dy, emit('Sum', masks)])
  return inputs.map((x, i) => (wants(i) ? unbroadcast(emit('Mul', [masks[i], share]), shape(x!)) : undefined))
}
