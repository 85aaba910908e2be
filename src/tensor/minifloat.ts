/** Floats of eight and four bits, in the variants that ONNX names. */
import type { DType } from './dtype.ts'

export type MinifloatType = 'float8e4m3fn' | 'float8e4m3fnuz' | 'float8e5m2' | 'float8e5m2fnuz' | 'float4e2m1'

interface Layout {
  readonly mantissaBits: number
  readonly bias: number
  readonly signBit: number
  /** The largest finite magnitude's code; those below it are in ascending order of their values. */
  readonly largest: number
  /** The codes for what is not a number (a negative zero where a type has no such code), and for what is too large and must not saturate. */
  readonly nan: number
  readonly overflow: number
  /** Whether the code of a negative zero stands for what is not a number. */
  readonly singleZero?: true
}

const layouts: Readonly<Record<MinifloatType, Layout>> = {
  float8e4m3fn: { mantissaBits: 3, bias: 7, signBit: 0x80, largest: 0x7e, nan: 0x7f, overflow: 0x7f },
  float8e4m3fnuz: {
    mantissaBits: 3,
    bias: 8,
    signBit: 0x80,
    largest: 0x7f,
    nan: 0x80,
    overflow: 0x80,
    singleZero: true,
  },
  float8e5m2: { mantissaBits: 2, bias: 15, signBit: 0x80, largest: 0x7b, nan: 0x7f, overflow: 0x7c },
  float8e5m2fnuz: {
    mantissaBits: 2,
    bias: 16,
    signBit: 0x80,
    largest: 0x7f,
    nan: 0x80,
    overflow: 0x80,
    singleZero: true,
  },
  float4e2m1: { mantissaBits: 1, bias: 1, signBit: 0x8, largest: 0x7, nan: 0x8, overflow: 0x7 },
}

const tables = new Map<MinifloatType, Float32Array>()

export function isMinifloat(dtype: DType): dtype is MinifloatType {
  return dtype in layouts
}

/** The value of each code of a type. */
export function minifloatValues(dtype: MinifloatType): Float32Array {
  const known = tables.get(dtype)
  if (known) return known
  const { mantissaBits, bias, signBit, largest, singleZero } = layouts[dtype]
  const table = Float32Array.from({ length: 2 * signBit }, (_, code) => {
    const magnitude = code & (signBit - 1)
    const sign = code & signBit ? -1 : 1
    if (singleZero && code === signBit) return Number.NaN
    if (magnitude > largest)
      return dtype === 'float8e5m2' && magnitude === 0x7c ? sign * Number.POSITIVE_INFINITY : Number.NaN
    const exponent = magnitude >> mantissaBits
    const fraction = (magnitude & ((1 << mantissaBits) - 1)) / (1 << mantissaBits)
    return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias))
  })
  tables.set(dtype, table)
  return table
}

/**
 * The nearest code of a number, ties to even. What is too large becomes the largest finite value when saturating,
 * otherwise infinity or, in types without one, not a number.
 */
export function toMinifloatCode(dtype: MinifloatType, value: number, saturate = true): number {
  const { signBit, largest, nan, overflow, singleZero } = layouts[dtype]
  if (Number.isNaN(value)) return nan
  const sign = value < 0 || Object.is(value, -0) ? signBit : 0
  const code = nearest(minifloatValues(dtype), largest, Math.abs(value))
  if (code > largest) return saturate ? sign | largest : singleZero ? overflow : sign | overflow
  return code === 0 && singleZero ? 0 : sign | code
}

/** A code one beyond the largest says that the magnitude rounds to more than there is. */
function nearest(values: Float32Array, largest: number, magnitude: number): number {
  let [low, high] = [0, largest]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (values[middle] <= magnitude) low = middle
    else high = middle - 1
  }
  const above = low < largest ? values[low + 1] : 2 * values[largest] - values[largest - 1]
  const [below, beyond] = [magnitude - values[low], above - magnitude]
  return below > beyond || (below === beyond && low % 2 === 1) ? low + 1 : low
}
