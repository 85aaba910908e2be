import type { DType } from './dtype.ts'
import { fromFloat32, roundEven, toFloat32, unpackNibbles } from './half.ts'
import { createTensor, elementCount, type Tensor } from './tensor.ts'

/**
 * The elements as numbers, without rounding: float32 for the floats of up to 32 bits, float64 for all others.
 * A view where the tensor stores them so, otherwise a copy. int64 beyond 2^53 loses digits.
 * @throws UnsupportedError for strings, complex numbers and eight- or four-bit floats.
 */
export function numbersOf(tensor: Tensor): Float32Array | Float64Array {
  const { dtype, data } = tensor
  if (dtype === 'float64') return data as Float64Array
  if (dtype === 'int64' || dtype === 'uint64') return Float64Array.from(data as BigInt64Array, Number)
  if (dtype === 'int32' || dtype === 'uint32') return Float64Array.from(data as Int32Array)
  if (dtype === 'int4' || dtype === 'uint4') return Float64Array.from(unpackNibbles(tensor))
  return toFloat32(tensor)
}

/**
 * A tensor of the given type from numbers: rounded to nearest for floats; for integers to nearest even, and saturated.
 * @throws UnsupportedError as `numbersOf`.
 */
export function fromNumbers<T extends DType>(
  dtype: T,
  shape: readonly number[],
  values: Float32Array | Float64Array,
): Tensor<T> {
  if (dtype === 'float64') return createTensor<DType>(dtype, shape, Float64Array.from(values)) as Tensor<T>
  if (dtype === 'int32' || dtype === 'uint32' || dtype === 'int64' || dtype === 'uint64')
    return wideIntegers(dtype, shape, values) as Tensor<T>
  return fromFloat32(dtype, shape, values instanceof Float32Array ? values : Float32Array.from(values))
}

const wideRanges = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [-(2 ** 63), 2 ** 63],
  uint64: [0, 2 ** 64],
} as const

function wideIntegers(dtype: keyof typeof wideRanges, shape: readonly number[], values: Float32Array | Float64Array) {
  const [low, high] = wideRanges[dtype]
  const clamped = Float64Array.from(values, (value) => Math.min(high, Math.max(low, roundEven(value))))
  if (dtype === 'int32') return createTensor<DType>(dtype, shape, Int32Array.from(clamped))
  if (dtype === 'uint32') return createTensor<DType>(dtype, shape, Uint32Array.from(clamped))
  const data = dtype === 'int64' ? new BigInt64Array(elementCount(shape)) : new BigUint64Array(elementCount(shape))
  const last = dtype === 'int64' ? 2n ** 63n - 1n : 2n ** 64n - 1n
  clamped.forEach((value, i) => {
    const whole = BigInt(Number.isNaN(value) ? 0 : value)
    data[i] = whole > last ? last : whole
  })
  return createTensor<DType>(dtype, shape, data)
}
