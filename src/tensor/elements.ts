import { ModelError, UnsupportedError } from '../errors.ts'
import { dtypes, type DataOf, type DType, type NumericData } from './dtype.ts'
import { fromFloat32, packNibbles, toFloat32, unpackNibbles } from './half.ts'
import { createTensor, elementCount, type Tensor } from './tensor.ts'

/** Storage with one entry an element: nibbles are unpacked, everything else is the tensor's own array. */
export type Elements = NumericData | string[]

/**
 * The elements one an entry, for operators that only move them: a view, or an unpacked copy of four-bit types.
 * @throws UnsupportedError for complex tensors, whose elements take two entries.
 */
export function elementsOf(tensor: Tensor): Elements {
  if (dtypes[tensor.dtype].kind === 'complex') throw notMovable(tensor.dtype)
  return dtypes[tensor.dtype].bits === 4 ? unpackNibbles(tensor) : tensor.data
}

/** Room for `count` elements, one an entry, zero or empty. Hand the result to `fromElements`. */
export function allocateElements(dtype: DType, count: number): Elements {
  if (dtypes[dtype].kind === 'complex') throw notMovable(dtype)
  return dtype === 'string' ? Array.from({ length: count }, () => '') : new dtypes[dtype].array(count)
}

/** A tensor from one entry an element; packs four-bit types, otherwise copies nothing. */
export function fromElements<T extends DType>(dtype: T, shape: readonly number[], elements: Elements): Tensor<T> {
  if (dtypes[dtype].bits !== 4) return createTensor(dtype, shape, elements as DataOf<T>)
  return createTensor(dtype, shape, packNibbles(elements as Uint8Array) as DataOf<T>)
}

function notMovable(dtype: DType): UnsupportedError {
  return new UnsupportedError('tensor-complex', `elements of a ${dtype} tensor cannot be moved one by one`)
}

/**
 * The elements as double-precision numbers: a view for float64, otherwise a copy. Exact for all types but 64-bit integers
 * beyond 2^53.
 * @throws UnsupportedError for strings and complex numbers.
 */
export function toNumbers(tensor: Tensor): Float64Array {
  const { dtype, data } = tensor
  if (dtype === 'float64') return data as Float64Array
  if (dtype === 'int64' || dtype === 'uint64') {
    const source = data as BigInt64Array
    const result = new Float64Array(source.length)
    for (let i = 0; i < result.length; i++) result[i] = Number(source[i])
    return result
  }
  return new Float64Array(toFloat64Source(tensor))
}

function toFloat64Source(tensor: Tensor): ArrayLike<number> {
  switch (tensor.dtype) {
    case 'int32':
    case 'uint32':
      return tensor.data as Int32Array
    default:
      return toFloat32(tensor)
  }
}

/**
 * A tensor of numbers as C converts them: floats round to nearest even (half precision by way of float32), integers
 * truncate towards zero and wrap around, booleans are true unless zero.
 * @throws UnsupportedError for strings and complex numbers.
 */
export function fromNumbers<T extends DType>(dtype: T, shape: readonly number[], values: ArrayLike<number>): Tensor<T> {
  const count = elementCount(shape)
  switch (dtype) {
    case 'float64':
      return createTensor(
        dtype,
        shape,
        (values instanceof Float64Array ? values : Float64Array.from(values)) as DataOf<T>,
      )
    case 'float32':
      return createTensor(dtype, shape, new Float32Array(values) as DataOf<T>)
    case 'float16':
    case 'bfloat16':
    case 'bool':
      return fromFloat32(dtype, shape, dtype === 'bool' ? truth(values) : new Float32Array(values))
    case 'int64':
    case 'uint64': {
      const data = dtype === 'int64' ? new BigInt64Array(count) : new BigUint64Array(count)
      for (let i = 0; i < count; i++) data[i] = toBigInt(values[i])
      return createTensor(dtype, shape, data as DataOf<T>)
    }
    default: {
      if (dtypes[dtype].kind === 'float') return fromFloat32(dtype, shape, new Float32Array(values))
      if (dtypes[dtype].kind !== 'integer')
        throw new UnsupportedError('tensor-convert', `numbers cannot be written as a ${dtype} tensor`)
      const data = new dtypes[dtype].array(count)
      for (let i = 0; i < count; i++) data[i] = values[i]
      return fromElements(dtype, shape, data)
    }
  }
}

/** Not by way of float32 itself, where numbers below 2^-149 would turn into false. */
function truth(values: ArrayLike<number>): Float32Array {
  const result = new Float32Array(values.length)
  for (let i = 0; i < result.length; i++) result[i] = values[i] === 0 ? 0 : 1
  return result
}

/** Towards zero; what is no number or infinite becomes the smallest int64, as on x86. */
function toBigInt(value: number): bigint {
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : -(2n ** 63n)
}

/** The elements of an integer tensor as plain numbers: axes, shapes, sizes. Values beyond 2^53 saturate harmlessly. */
export function integersOf(tensor: Tensor): number[] {
  if (dtypes[tensor.dtype].kind !== 'integer')
    throw new ModelError('tensor-integers', `integers were expected, not a ${tensor.dtype} tensor`)
  return Array.from(toNumbers(tensor))
}

/** The elements of an integer tensor, exactly. */
export function toBigInts(tensor: Tensor): BigInt64Array | BigUint64Array {
  if (tensor.dtype === 'int64' || tensor.dtype === 'uint64') return tensor.data as BigInt64Array | BigUint64Array
  return BigInt64Array.from(toNumbers(tensor), BigInt)
}

/** An integer tensor from exact values, wrapping around as C does. */
export function fromBigInts<T extends DType>(dtype: T, shape: readonly number[], values: BigInt64Array): Tensor<T> {
  if (dtype === 'int64') return createTensor(dtype, shape, values as DataOf<T>)
  if (dtype === 'uint64') return createTensor(dtype, shape, new BigUint64Array(values.buffer) as DataOf<T>)
  const { bits } = dtypes[dtype]
  const elements = new dtypes[dtype].array(values.length)
  for (let i = 0; i < values.length; i++) elements[i] = Number(BigInt.asIntN(bits, values[i]))
  return fromElements(dtype, shape, elements)
}
