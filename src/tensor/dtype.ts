/**
 * Element types, named as ONNX names them, with the typed array that stores each.
 * `float16` and `bfloat16` keep raw bits in a Uint16Array; `int4` and `uint4` are packed two a byte, low nibble first;
 * the eight-bit floats keep raw bits in a Uint8Array.
 */

interface Storage {
  float32: Float32Array
  float64: Float64Array
  float16: Uint16Array
  bfloat16: Uint16Array
  int8: Int8Array
  uint8: Uint8Array
  int16: Int16Array
  uint16: Uint16Array
  int32: Int32Array
  uint32: Uint32Array
  int64: BigInt64Array
  uint64: BigUint64Array
  bool: Uint8Array
  int4: Uint8Array
  uint4: Uint8Array
  float8e4m3fn: Uint8Array
  float8e4m3fnuz: Uint8Array
  float8e5m2: Uint8Array
  float8e5m2fnuz: Uint8Array
  float4e2m1: Uint8Array
  complex64: Float32Array
  complex128: Float64Array
  string: string[]
}

export type DType = keyof Storage
export type DataOf<T extends DType = DType> = Storage[T]
export type NumericData = Exclude<DataOf, string[]>

export interface DTypeFacts {
  /** Bits an element takes in a file; 0 for strings. */
  readonly bits: number
  readonly kind: 'float' | 'integer' | 'bool' | 'complex' | 'string'
  readonly array: new (length: number) => NumericData
}

/** Facts of each element type. `array` allocates zeros; for packed types its length counts bytes, see `storageLength`. */
export const dtypes: { readonly [T in DType]: DTypeFacts } = {
  float32: { bits: 32, kind: 'float', array: Float32Array },
  float64: { bits: 64, kind: 'float', array: Float64Array },
  float16: { bits: 16, kind: 'float', array: Uint16Array },
  bfloat16: { bits: 16, kind: 'float', array: Uint16Array },
  int8: { bits: 8, kind: 'integer', array: Int8Array },
  uint8: { bits: 8, kind: 'integer', array: Uint8Array },
  int16: { bits: 16, kind: 'integer', array: Int16Array },
  uint16: { bits: 16, kind: 'integer', array: Uint16Array },
  int32: { bits: 32, kind: 'integer', array: Int32Array },
  uint32: { bits: 32, kind: 'integer', array: Uint32Array },
  int64: { bits: 64, kind: 'integer', array: BigInt64Array },
  uint64: { bits: 64, kind: 'integer', array: BigUint64Array },
  bool: { bits: 8, kind: 'bool', array: Uint8Array },
  int4: { bits: 4, kind: 'integer', array: Uint8Array },
  uint4: { bits: 4, kind: 'integer', array: Uint8Array },
  float8e4m3fn: { bits: 8, kind: 'float', array: Uint8Array },
  float8e4m3fnuz: { bits: 8, kind: 'float', array: Uint8Array },
  float8e5m2: { bits: 8, kind: 'float', array: Uint8Array },
  float8e5m2fnuz: { bits: 8, kind: 'float', array: Uint8Array },
  float4e2m1: { bits: 4, kind: 'float', array: Uint8Array },
  complex64: { bits: 64, kind: 'complex', array: Float32Array },
  complex128: { bits: 128, kind: 'complex', array: Float64Array },
  string: { bits: 0, kind: 'string', array: Uint8Array },
}

/** The length of the storage array for `count` elements: packed types take a byte for two, complex types two numbers each. */
export function storageLength(dtype: DType, count: number): number {
  if (dtypes[dtype].bits === 4) return Math.ceil(count / 2)
  return dtypes[dtype].kind === 'complex' ? count * 2 : count
}
