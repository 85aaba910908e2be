/** How the elements of a tensor lie in its raw bytes, by ONNX's data_type. */
export interface ElementType {
  readonly name: string
  /** Bits of an element; complex types count as one element of both parts. */
  readonly bits: number
  /** Bytes of the numbers that the content consists of: half a complex element, and 1 for packed types. */
  readonly width: number
  /** 'float' has its sign on top and then the exponent; 'signed' is two's complement; 'plain' is none of these. */
  readonly form: 'float' | 'signed' | 'plain'
}

/** The type that contents have whose type and dims do not account for their bytes: uint8. */
export const OPAQUE = 2

const type = (name: string, bits: number, form: ElementType['form'], width = Math.max(1, bits / 8)): ElementType => ({
  name,
  bits,
  width,
  form,
})

export const elementTypes: ReadonlyMap<number, ElementType> = new Map([
  [1, type('float32', 32, 'float')],
  [2, type('uint8', 8, 'plain')],
  [3, type('int8', 8, 'signed')],
  [4, type('uint16', 16, 'plain')],
  [5, type('int16', 16, 'signed')],
  [6, type('int32', 32, 'signed')],
  [7, type('int64', 64, 'signed')],
  [9, type('bool', 8, 'plain')],
  [10, type('float16', 16, 'float')],
  [11, type('float64', 64, 'float')],
  [12, type('uint32', 32, 'plain')],
  [13, type('uint64', 64, 'plain')],
  [14, type('complex64', 64, 'float', 4)],
  [15, type('complex128', 128, 'float', 8)],
  [16, type('bfloat16', 16, 'float')],
  [17, type('float8e4m3fn', 8, 'float')],
  [18, type('float8e4m3fnuz', 8, 'float')],
  [19, type('float8e5m2', 8, 'float')],
  [20, type('float8e5m2fnuz', 8, 'float')],
  [21, type('uint4', 4, 'plain', 1)],
  [22, type('int4', 4, 'signed', 1)],
  [23, type('float4e2m1', 4, 'float', 1)],
])
