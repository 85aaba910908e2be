/** Products and convolutions of integer codes: operands shifted by their zero points, results scaled back to codes. */
import { toNumbers } from '../../tensor/elements.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'

/** The codes minus their zero points. `axis`: along which a vector of zero points lies. */
export function centred(codes: Tensor, zeroPoint: Tensor | undefined, axis: number): Float64Array {
  const values = toNumbers(codes)
  if (!zeroPoint) return Float64Array.from(values)
  const at = alongAxis(zeroPoint, codes.shape, axis)
  const zeros = toNumbers(zeroPoint)
  return Float64Array.from(values, (value, i) => value - zeros[at(i)])
}

/** Which entry of a scalar, or of a vector along `axis`, belongs to each element of a tensor of `shape`. */
export function alongAxis(vector: Tensor, shape: readonly number[], axis: number): (index: number) => number {
  const count = elementCount(vector.shape)
  if (count === 1) return () => 0
  const inner = elementCount(shape.slice(axis < 0 ? axis + shape.length + 1 : axis + 1))
  return (i) => Math.floor(i / inner) % count
}
