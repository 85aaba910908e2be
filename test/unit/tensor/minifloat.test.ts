import { describe, expect, it } from 'vitest'
import { fromFloat32, toFloat32 } from '../../../src/tensor/half.ts'
import { minifloatValues, toMinifloatCode, type MinifloatType } from '../../../src/tensor/minifloat.ts'

/** The largest and smallest positive values, from the specification of ONNX. */
const facts: readonly (readonly [MinifloatType, number, number])[] = [
  ['float8e4m3fn', 448, 2 ** -9],
  ['float8e4m3fnuz', 240, 2 ** -10],
  ['float8e5m2', 57344, 2 ** -16],
  ['float8e5m2fnuz', 57344, 2 ** -17],
  ['float4e2m1', 6, 0.5],
]

describe.each(facts)('%s', (dtype, largest, smallest) => {
  const values = [...minifloatValues(dtype)]
  const finite = values.filter(Number.isFinite)

  it('has the range that it should have', () => {
    expect(Math.max(...finite)).toBe(largest)
    expect(Math.min(...finite.filter((value) => value > 0))).toBe(smallest)
  })

  it('keeps every code', () => {
    for (const [code, value] of values.entries()) {
      const back = toMinifloatCode(dtype, value, false)
      if (Number.isNaN(value)) expect(values[back]).toBeNaN()
      else expect(back).toBe(code)
    }
  })

  it('rounds to the nearest and to even between two', () => {
    const positive = values.slice(0, values.length / 2).filter(Number.isFinite)
    for (let code = 0; code + 1 < positive.length; code++) {
      const [low, high] = [positive[code], positive[code + 1]]
      expect(toMinifloatCode(dtype, (low + high) / 2)).toBe(code + (code % 2))
      expect(toMinifloatCode(dtype, low + (high - low) * 0.49)).toBe(code)
      expect(toMinifloatCode(dtype, low + (high - low) * 0.51)).toBe(code + 1)
    }
  })

  it('saturates, or not', () => {
    expect(values[toMinifloatCode(dtype, 1e9)]).toBe(largest)
    expect(values[toMinifloatCode(dtype, -1e9)]).toBe(-largest)
    const beyond = values[toMinifloatCode(dtype, 1e9, false)]
    if (dtype === 'float4e2m1') expect(beyond).toBe(largest)
    else expect(beyond).toEqual(dtype === 'float8e5m2' ? Number.POSITIVE_INFINITY : Number.NaN)
  })

  it('goes through tensors, packed where it has four bits', () => {
    const tensor = fromFloat32(dtype, [3], Float32Array.of(1, -2, 0.5))
    expect([...toFloat32(tensor)]).toEqual([1, -2, 0.5])
  })
})
