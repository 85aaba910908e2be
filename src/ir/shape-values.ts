/** Arithmetic on shapes that are only partly known: `Shape → Gather → Concat → Reshape` with symbols in it. */
import type { Tensor } from '../tensor/tensor.ts'
import { intAttribute, type Dim, type Node, type TensorType } from './model.ts'

/** The elements of an integer value of at most one axis, as far as they are known. */
export type PartialValue = readonly Dim[]

/** What the rules may ask about the inputs of a node. */
export interface ShapeScope {
  type(index: number): TensorType | undefined
  constant(index: number): Tensor | undefined
  partial(index: number): PartialValue | undefined
}

const LARGEST = 64

/** A small integer tensor of at most one axis as a partial value in which everything is known. */
export function partialOf(tensor: Tensor | undefined): PartialValue | undefined {
  if (!tensor || tensor.shape.length > 1 || (tensor.shape[0] ?? 1) > LARGEST) return undefined
  if (tensor.dtype !== 'int64' && tensor.dtype !== 'int32') return undefined
  return Array.from(tensor.data as BigInt64Array | Int32Array, Number)
}

/** The value of output 0, as far as shape arithmetic tells; undefined when the node is no shape arithmetic. */
export function partialEvaluate(node: Node, scope: ShapeScope): PartialValue | undefined {
  if (node.domain !== '') return undefined
  switch (node.op) {
    case 'Shape': {
      const shape = scope.type(0)?.shape
      if (!shape) return undefined
      const end = node.attributes['end'] ? intAttribute(node, 'end', shape.length) : shape.length
      return shape.slice(intAttribute(node, 'start', 0), end)
    }
    case 'Identity':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Reshape':
      return scope.partial(0)
    case 'Cast':
      return [6, 7].includes(intAttribute(node, 'to', 0)) ? scope.partial(0) : undefined
    case 'Concat': {
      const parts = node.inputs.map((_, index) => scope.partial(index))
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined
    }
    case 'Gather': {
      const values = scope.partial(0)
      const indices = partialOf(scope.constant(1))
      if (!values || !indices || scope.type(0)?.shape?.length !== 1) return undefined
      return indices.map((index) => values.at(Number(index)) ?? null)
    }
    case 'Slice':
      return sliceValues(scope)
    case 'Add':
    case 'Sub':
    case 'Mul':
    case 'Div':
      return arithmetic(node.op, scope.partial(0), scope.partial(1))
    default:
      return undefined
  }
}

function sliceValues(scope: ShapeScope): PartialValue | undefined {
  const values = scope.partial(0)
  const [start] = partialOf(scope.constant(1)) ?? []
  const [end] = partialOf(scope.constant(2)) ?? []
  const [step] = partialOf(scope.constant(4)) ?? [1]
  if (!values || typeof start !== 'number' || typeof end !== 'number' || step !== 1) return undefined
  return values.slice(start, end)
}

function arithmetic(
  op: 'Add' | 'Sub' | 'Mul' | 'Div',
  left: PartialValue | undefined,
  right: PartialValue | undefined,
): PartialValue | undefined {
  if (!left || !right) return undefined
  const length = left.length === 1 ? right.length : left.length
  if (right.length !== length && right.length !== 1) return undefined
  return Array.from({ length }, (_, i): Dim => {
    const a = left[left.length === 1 ? 0 : i]
    const b = right[right.length === 1 ? 0 : i]
    if (typeof a === 'number' && typeof b === 'number') {
      if (op === 'Add') return a + b
      if (op === 'Sub') return a - b
      if (op === 'Mul') return a * b
      return b === 0 ? null : Math.trunc(a / b)
    }
    if (op === 'Add' && a === 0) return b
    if (op === 'Mul' && a === 1) return b
    if ((op === 'Add' || op === 'Sub') && b === 0) return a
    return (op === 'Mul' || op === 'Div') && b === 1 ? a : null
  })
}

/** The shape that a partly known target gives the output of Reshape, Expand or ConstantOfShape. */
export function shapeFromTarget(node: Node, scope: ShapeScope): readonly Dim[] | undefined {
  if (node.domain !== '') return undefined
  if (node.op === 'ConstantOfShape') return scope.partial(0)
  const target = node.op === 'Reshape' || node.op === 'Expand' ? scope.partial(1) : undefined
  if (!target) return undefined
  const input = scope.type(0)?.shape
  return node.op === 'Expand' ? expandedShape(input, target) : reshapedShape(input, target, node)
}

function expandedShape(input: readonly Dim[] | undefined, target: PartialValue): readonly Dim[] | undefined {
  if (!input) return undefined
  const rank = Math.max(input.length, target.length)
  return Array.from({ length: rank }, (_, axis) => {
    const a = input[axis - rank + input.length] ?? (axis < rank - input.length ? 1 : null)
    const b = target[axis - rank + target.length] ?? (axis < rank - target.length ? 1 : null)
    if (a === 1) return b
    return b === 1 || typeof a === 'number' ? a : b === a ? a : null
  })
}

function reshapedShape(input: readonly Dim[] | undefined, target: PartialValue, node: Node): readonly Dim[] {
  const copyZero = intAttribute(node, 'allowzero', 0) === 0
  const result = target.map((dim, axis) => (dim === 0 && copyZero ? (input?.[axis] ?? null) : dim))
  const open = result.indexOf(-1)
  if (open < 0) return result
  result[open] = null
  if (!input) return result
  const rest = [...input]
  for (const [axis, dim] of result.entries()) {
    if (axis === open || typeof dim === 'number') continue
    const found = dim === null ? -1 : rest.indexOf(dim)
    if (found < 0) return result
    rest.splice(found, 1)
  }
  const known = result.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1)
  const numbers = rest.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1)
  const symbols = rest.filter((dim) => typeof dim !== 'number')
  if (symbols.length === 0) result[open] = known === 0 ? 0 : numbers / known
  else if (symbols.length === 1 && numbers === known) result[open] = symbols[0]
  return result
}
