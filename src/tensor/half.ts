import { UnsupportedError } from '../errors.ts'
import { dtypes, type DataOf, type DType, type NumericData } from './dtype.ts'
import { isMinifloat, minifloatValues, toMinifloatCode, type MinifloatType } from './minifloat.ts'
import { createTensor, elementCount, type Tensor } from './tensor.ts'

const float = new Float32Array(1)
const floatBits = new Uint32Array(float.buffer)

/** The nearest half-precision bits of a number, ties to even, as IEEE 754 binary16. */
export function toHalfBits(value: number): number {
  float[0] = value
  return halfOfFloatBits(floatBits[0])
}

function halfOfFloatBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x47800000) return sign | 0x7c00
  if (magnitude < 0x38800000) {
    if (magnitude < 0x33000000) return sign
    const exponent = magnitude >>> 23
    const mantissa = (magnitude & 0x7fffff) | 0x800000
    const shift = 126 - exponent
    const half = mantissa >>> shift
    const rest = mantissa & ((1 << shift) - 1)
    const middle = 1 << (shift - 1)
    return sign | (half + (rest > middle || (rest === middle && (half & 1) === 1) ? 1 : 0))
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x38000000) >>> 13)
}

/** The number that half-precision bits stand for. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 31
  const mantissa = bits & 1023
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

/** The nearest bfloat16 bits of a number, ties to even. */
export function toBfloatBits(value: number): number {
  float[0] = value
  return bfloatOfFloatBits(floatBits[0])
}

function bfloatOfFloatBits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

/** The number that bfloat16 bits stand for. */
export function fromBfloatBits(bits: number): number {
  floatBits[0] = bits << 16
  return float[0]
}

let halfTable: Float32Array | undefined
/** All 65,536 half floats: looking one up is several times as fast as taking it apart. */
function halves(): Float32Array {
  if (halfTable) return halfTable
  const table = new Float32Array(65536)
  for (let bits = 0; bits < table.length; bits++) table[bits] = fromHalfBits(bits)
  halfTable = table
  return table
}

function halvesToFloat32(data: Uint16Array): Float32Array {
  const table = halves()
  const result = new Float32Array(data.length)
  for (let i = 0; i < result.length; i++) result[i] = table[data[i]]
  return result
}

function bfloatsToFloat32(data: Uint16Array): Float32Array {
  const bits = new Uint32Array(data.length)
  for (let i = 0; i < bits.length; i++) bits[i] = data[i] << 16
  return new Float32Array(bits.buffer)
}

function bigIntsToFloat32(data: BigInt64Array | BigUint64Array): Float32Array {
  const result = new Float32Array(data.length)
  for (let i = 0; i < result.length; i++) result[i] = Number(data[i])
  return result
}

function minifloatsToFloat32(tensor: Tensor, dtype: MinifloatType): Float32Array {
  const values = minifloatValues(dtype)
  const codes = dtypes[dtype].bits === 4 ? unpackNibbles(tensor) : (tensor.data as Uint8Array)
  return Float32Array.from(codes, (code) => values[code])
}

/**
 * The elements as float32: a view for float32 itself, otherwise a converted copy. int64 beyond 2^24 loses digits.
 * @throws UnsupportedError for strings and complex numbers.
 */
export function toFloat32(tensor: Tensor): Float32Array {
  const { dtype, data } = tensor
  switch (dtype) {
    case 'float32':
      return data as Float32Array
    case 'float16':
      return halvesToFloat32(data as Uint16Array)
    case 'bfloat16':
      return bfloatsToFloat32(data as Uint16Array)
    case 'int64':
    case 'uint64':
      return bigIntsToFloat32(data as BigInt64Array)
    case 'int4':
    case 'uint4':
      return new Float32Array(unpackNibbles(tensor))
    case 'float64':
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'int32':
    case 'uint32':
    case 'bool':
      return new Float32Array(data as Float64Array)
    default:
      if (isMinifloat(dtype)) return minifloatsToFloat32(tensor, dtype)
      throw new UnsupportedError('tensor-convert', `a ${dtype} tensor cannot be read as float32`)
  }
}

/**
 * A tensor of the given type from numbers: rounded to nearest for floats, to nearest even and saturated for integers.
 * @throws UnsupportedError as `toFloat32`.
 */
export function fromFloat32<T extends DType>(dtype: T, shape: readonly number[], values: Float32Array): Tensor<T> {
  return createTensor(dtype, shape, convert(dtype, elementCount(shape), values) as DataOf<T>)
}

const integerRanges: { readonly [T in DType]?: readonly [number, number] } = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int4: [-8, 7],
  uint4: [0, 15],
}

function convert(dtype: DType, count: number, values: Float32Array): NumericData {
  if (dtype === 'float32') return values
  if (dtype === 'float64') return new Float64Array(values)
  if (dtype === 'float16' || dtype === 'bfloat16') return shortened(values, dtype)
  if (dtype === 'bool') return Uint8Array.from(values, (value) => (value === 0 ? 0 : 1))
  if (dtype === 'int64') return BigInt64Array.from(values, (value) => saturated(value, -(2n ** 63n), 2n ** 63n - 1n))
  if (dtype === 'uint64') return BigUint64Array.from(values, (value) => saturated(value, 0n, 2n ** 64n - 1n))
  if (isMinifloat(dtype)) return minifloats(dtype, values)
  const range = integerRanges[dtype]
  if (!range) throw new UnsupportedError('tensor-convert', `numbers cannot be written as a ${dtype} tensor`)
  const [low, high] = range
  const clamp = (value: number) => Math.min(high, Math.max(low, roundEven(value)))
  if (dtypes[dtype].bits === 4) return packNibbles(Int8Array.from(values, clamp))
  const result = new dtypes[dtype].array(count)
  for (let i = 0; i < count; i++) result[i] = clamp(values[i])
  return result
}

/** The nearest eight- or four-bit floats, as stored. */
export function minifloats(dtype: MinifloatType, values: Float32Array, saturate = true): Uint8Array {
  const codes = Uint8Array.from(values, (value) => toMinifloatCode(dtype, value, saturate))
  return dtypes[dtype].bits === 4 ? packNibbles(codes) : codes
}

/** What is no number becomes 0, as in the typed arrays of smaller integers. */
function saturated(value: number, low: bigint, high: bigint): bigint {
  if (value >= Number(high)) return high
  if (value <= Number(low)) return low
  return Number.isNaN(value) ? 0n : BigInt(roundEven(value))
}

/** Half floats from the bits of whole ones. */
function shortened(values: Float32Array, dtype: 'float16' | 'bfloat16'): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const result = new Uint16Array(bits.length)
  if (dtype === 'float16') for (let i = 0; i < bits.length; i++) result[i] = halfOfFloatBits(bits[i])
  else for (let i = 0; i < bits.length; i++) result[i] = bfloatOfFloatBits(bits[i])
  return result
}

/** Rounds to the nearest integer, ties to even, as ONNX's Round and QuantizeLinear do. */
export function roundEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest < 0.5) return floor
  if (rest > 0.5) return floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** Two elements a byte, the low nibble first. */
export function packNibbles(elements: Int8Array | Uint8Array): Uint8Array {
  const packed = new Uint8Array(Math.ceil(elements.length / 2))
  for (let i = 0; i < elements.length; i++) packed[i >> 1] |= (elements[i] & 15) << ((i & 1) * 4)
  return packed
}

/** The elements of a tensor of four-bit type, one a byte. */
export function unpackNibbles(tensor: Tensor): Int8Array {
  const packed = tensor.data as Uint8Array
  const result = new Int8Array(elementCount(tensor.shape))
  const signed = tensor.dtype === 'int4'
  for (let i = 0; i < result.length; i++) {
    const nibble = (packed[i >> 1] >> ((i & 1) * 4)) & 15
    result[i] = signed && nibble > 7 ? nibble - 16 : nibble
  }
  return result
}
