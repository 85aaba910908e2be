import { ModelError } from '../errors.ts'
import { dtypes, storageLength, type DataOf, type DType, type NumericData } from './dtype.ts'

/** A typed array with a shape, row-major. A tensor is a value: nobody writes to `data` after it was handed out. */
export interface Tensor<T extends DType = DType> {
  readonly dtype: T
  readonly shape: readonly number[]
  readonly data: DataOf<T>
}

/** The number of elements of a shape; 1 for a scalar's empty shape. */
export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (const dimension of shape) count *= dimension
  return count
}

/**
 * Makes a tensor over `data` without copying it.
 * @throws ModelError when the storage is not as long as the shape asks.
 */
export function createTensor<T extends DType>(dtype: T, shape: readonly number[], data: DataOf<T>): Tensor<T> {
  const expected = storageLength(dtype, elementCount(shape))
  if (data.length !== expected)
    throw new ModelError(
      'tensor-length',
      `a ${dtype} tensor of shape [${shape.join(', ')}] needs ${expected} stored elements, not ${data.length}`,
    )
  return { dtype, shape, data }
}

/** A tensor of zeros (empty strings for the string type). */
export function zeros<T extends DType>(dtype: T, shape: readonly number[]): Tensor<T> {
  const length = storageLength(dtype, elementCount(shape))
  const data = dtype === 'string' ? Array.from({ length }, () => '') : new dtypes[dtype].array(length)
  return createTensor(dtype, shape, data as DataOf<T>)
}

/** A float32 tensor from an array of numbers; the shape defaults to one axis. */
export function float32(data: Float32Array | readonly number[], shape?: readonly number[]): Tensor<'float32'> {
  const values = data instanceof Float32Array ? data : Float32Array.from(data)
  return createTensor('float32', shape ?? [values.length], values)
}

/** An int64 tensor from numbers; the shape defaults to one axis. */
export function int64(data: readonly (number | bigint)[], shape?: readonly number[]): Tensor<'int64'> {
  return createTensor('int64', shape ?? [data.length], BigInt64Array.from(data, BigInt))
}

/** A tensor without axes. */
export function scalar<T extends 'float32' | 'float64' | 'int32' | 'int64' | 'uint8' | 'int8' | 'bool'>(
  dtype: T,
  value: number | boolean | bigint,
): Tensor<T> {
  const result = zeros(dtype, [])
  ;(result.data as NumericData)[0] = (dtype === 'int64' ? BigInt(value) : Number(value)) as never
  return result
}

/** The same elements under another shape, without a copy. @throws ModelError when the counts differ. */
export function reshaped<T extends DType>(tensor: Tensor<T>, shape: readonly number[]): Tensor<T> {
  return createTensor(tensor.dtype, shape, tensor.data)
}

/** The bytes that the tensor takes raw, as in an ONNX file's raw_data. */
export function byteLength(tensor: Tensor): number {
  if (tensor.dtype === 'string') {
    const encoder = new TextEncoder()
    return (tensor.data as string[]).reduce((sum, text) => sum + encoder.encode(text).length, 0)
  }
  return (tensor.data as NumericData).byteLength
}

/** Whether two tensors have the same type, shape and bits (NaNs compare by their bits). */
export function identical(a: Tensor, b: Tensor): boolean {
  if (a.dtype !== b.dtype || a.shape.length !== b.shape.length) return false
  if (a.shape.some((dimension, axis) => dimension !== b.shape[axis])) return false
  if (a.dtype === 'string') return (a.data as string[]).every((text, i) => text === (b.data as string[])[i])
  const x = bytesOf(a)
  const y = bytesOf(b)
  if (x.length !== y.length) return false
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false
  return true
}

/** A view of the tensor's raw little-endian bytes. @throws ModelError for strings, which have none. */
export function bytesOf(tensor: Tensor): Uint8Array {
  if (tensor.dtype === 'string') throw new ModelError('string-bytes', 'a string tensor has no raw bytes')
  const data = tensor.data as NumericData
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
