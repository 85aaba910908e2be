/** Products of stacks of matrices with broadcasting, as MatMul and its quantized kin define them. */
import { elementCount } from '../../tensor/tensor.ts'
import type { Dim, Node } from '../model.ts'
import { windowError } from '../windows.ts'
import { broadcastDims } from './broadcast.ts'

/** Two operands seen as stacks of matrices: [...batch, rows, inner] * [...batch, inner, columns]. */
export interface MatrixProduct<D extends Dim = Dim> {
  /** The operands' shapes, a vector made a matrix of one row (left) or one column (right). */
  readonly left: readonly D[]
  readonly right: readonly D[]
  readonly batch: readonly D[]
  readonly rows: D
  readonly inner: D
  readonly columns: D
  /** The result: without the axes that vectors were given. */
  readonly shape: readonly D[]
}

/** Lays out the product of two shapes. @throws ModelError when they do not multiply. */
export function matrixProduct<D extends Dim>(node: Node, a: readonly D[], b: readonly D[]): MatrixProduct<D> {
  if (a.length === 0 || b.length === 0) throw windowError(node, 'a scalar is no matrix')
  const one = 1 as D
  const left = a.length === 1 ? [one, a[0]] : a
  const right = b.length === 1 ? [b[0], one] : b
  const [rows, inner] = left.slice(-2)
  const [innerRight, columns] = right.slice(-2)
  if (typeof inner === 'number' && typeof innerRight === 'number' && inner !== innerRight)
    throw windowError(node, `[${a.join(', ')}] and [${b.join(', ')}] do not multiply`)
  const batch = broadcastDims(node, [left.slice(0, -2), right.slice(0, -2)]) as readonly D[]
  const shape = [...batch, ...(a.length === 1 ? [] : [rows]), ...(b.length === 1 ? [] : [columns])]
  return { left, right, batch, rows, inner, columns, shape }
}

/** The product, row-major. */
export function multiply(
  x: Float32Array | Float64Array,
  w: Float32Array | Float64Array,
  product: MatrixProduct<number>,
): Float64Array {
  const { left, right, batch, rows, inner, columns } = product
  const y = new Float64Array(elementCount(batch) * rows * columns)
  const lefts = stackOffsets(left.slice(0, -2), batch, rows * inner)
  const rights = stackOffsets(right.slice(0, -2), batch, inner * columns)
  for (let s = 0; s < lefts.length; s++)
    for (let i = 0; i < rows; i++)
      for (let k = 0; k < inner; k++) {
        const value = x[lefts[s] + i * inner + k]
        const row = rights[s] + k * columns
        const target = (s * rows + i) * columns
        for (let j = 0; j < columns; j++) y[target + j] += value * w[row + j]
      }
  return y
}

/** Where each matrix of the broadcast batch starts in an operand whose own batch is `shape`. */
function stackOffsets(shape: readonly number[], batch: readonly number[], matrix: number): number[] {
  let offsets = [0]
  const lead = batch.length - shape.length
  for (let axis = 0; axis < batch.length; axis++) {
    const size = axis < lead ? 1 : shape[axis - lead]
    const next: number[] = []
    for (const offset of offsets) for (let i = 0; i < batch[axis]; i++) next.push(offset * size + (size === 1 ? 0 : i))
    offsets = next
  }
  return offsets.map((offset) => offset * matrix)
}
