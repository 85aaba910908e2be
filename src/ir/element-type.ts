/** The numbers that ONNX gives element types (TensorProto.DataType), as in the attribute `to` of Cast. */
import type { DType } from '../tensor/dtype.ts'

const numbers: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
}

const types: ReadonlyMap<number, DType> = new Map(
  Object.entries(numbers).map(([dtype, number]) => [number, dtype as DType]),
)

/** ONNX's number of an element type. */
export function elementType(dtype: DType): number {
  return numbers[dtype]
}

/** The element type behind ONNX's number; undefined for numbers that stand for none that we know. */
export function fromElementType(number: number): DType | undefined {
  return types.get(number)
}
