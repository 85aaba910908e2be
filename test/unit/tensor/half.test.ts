import { describe, expect, it } from 'vitest'
import { UnsupportedError } from '../../../src/errors.ts'
import type { DType } from '../../../src/tensor/dtype.ts'
import {
  fromBfloatBits,
  fromFloat32,
  fromHalfBits,
  roundEven,
  toBfloatBits,
  toFloat32,
  toHalfBits,
  unpackNibbles,
} from '../../../src/tensor/half.ts'
import { createTensor, float32, identical, zeros } from '../../../src/tensor/tensor.ts'

const allBits = Uint16Array.from({ length: 65536 }, (_, bits) => bits)

describe('half precision', () => {
  it('reads the landmarks of binary16', () => {
    const landmarks = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00, 0xfc00, 0x3555].map(fromHalfBits)
    expect(landmarks).toEqual([1, -2, 65504, 2 ** -14, 2 ** -24, Infinity, -Infinity, 0.333251953125])
    expect(fromHalfBits(0x7e00)).toBeNaN()
    expect(Object.is(fromHalfBits(0x8000), -0)).toBe(true)
  })

  it('keeps every one of the 65,536 patterns', () => {
    const changed = allBits.filter((bits) => {
      const value = fromHalfBits(bits)
      return Number.isNaN(value) ? (toHalfBits(value) & 0x7fff) <= 0x7c00 : toHalfBits(value) !== bits
    })
    expect(changed).toHaveLength(0)
  })

  it('keeps them in tensors as well', () => {
    const tensor = createTensor('float16', [65536], allBits)
    const floats = toFloat32(tensor)
    const values = allBits.filter((bits) => !Number.isNaN(fromHalfBits(bits)))
    for (const bits of values) if (!Object.is(floats[bits], fromHalfBits(bits))) expect.fail(`${bits}`)
    const numbers = createTensor('float16', [values.length], values)
    expect(identical(fromFloat32('float16', numbers.shape, toFloat32(numbers)), numbers)).toBe(true)
  })

  it('rounds to the nearest, halfway to even, and over the top to infinity', () => {
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [fromHalfBits(bits), fromHalfBits(bits + 1)]
      const middle = (low + high) / 2
      const even = bits % 2 === 0 ? bits : bits + 1
      if (toHalfBits(middle) !== even) expect.fail(`halfway above ${low}`)
      if (toHalfBits(low + (high - low) * 0.499) !== bits) expect.fail(`below halfway above ${low}`)
      if (toHalfBits(low + (high - low) * 0.501) !== bits + 1) expect.fail(`beyond halfway above ${low}`)
    }
    expect(toHalfBits(65519.9)).toBe(0x7bff)
    expect(toHalfBits(65520)).toBe(0x7c00)
    expect(toHalfBits(-1e30)).toBe(0xfc00)
    expect(toHalfBits(2 ** -25)).toBe(0)
    expect(toHalfBits(2 ** -25 * 1.001)).toBe(1)
  })
})

describe('bfloat16', () => {
  it('keeps every pattern', () => {
    const changed = allBits.filter((bits) => {
      const value = fromBfloatBits(bits)
      return Number.isNaN(value) ? (toBfloatBits(value) & 0x7fff) <= 0x7f80 : toBfloatBits(value) !== bits
    })
    expect(changed).toHaveLength(0)
    const numbers = allBits.filter((bits) => !Number.isNaN(fromBfloatBits(bits)))
    const tensor = createTensor('bfloat16', [numbers.length], numbers)
    expect(identical(fromFloat32('bfloat16', tensor.shape, toFloat32(tensor)), tensor)).toBe(true)
  })

  it('rounds halfway to even', () => {
    expect(toBfloatBits(1 + 2 ** -8)).toBe(0x3f80)
    expect(toBfloatBits(1 + 3 * 2 ** -8)).toBe(0x3f82)
    expect(toBfloatBits(3.4e38)).toBe(0x7f80)
  })
})

describe('numbers to tensors and back', () => {
  const values = float32([-300.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 300]).data

  it.each([
    ['int8', [-128, -2, 0, 0, 0, 2, 2, 127]],
    ['uint8', [0, 0, 0, 0, 0, 2, 2, 255]],
    ['int16', [-300, -2, 0, 0, 0, 2, 2, 300]],
    ['int32', [-300, -2, 0, 0, 0, 2, 2, 300]],
    ['int64', [-300, -2, 0, 0, 0, 2, 2, 300]],
    ['uint64', [0, 0, 0, 0, 0, 2, 2, 300]],
    ['int4', [-8, -2, 0, 0, 0, 2, 2, 7]],
    ['uint4', [0, 0, 0, 0, 0, 2, 2, 15]],
    ['bool', [1, 1, 1, 0, 1, 1, 1, 1]],
    ['float64', [...values]],
  ] as const)('rounds to even and saturates: %s', (dtype, expected) => {
    const tensor = fromFloat32(dtype, [8], values)
    expect(Array.from(toFloat32(tensor), (value) => value + 0)).toEqual(expected)
  })

  it('saturates what does not fit 64 bits, and turns NaN into 0', () => {
    const data = fromFloat32('int64', [3], Float32Array.of(1e30, -1e30, Number.NaN)).data
    expect([...data]).toEqual([2n ** 63n - 1n, -(2n ** 63n), 0n])
  })

  it('packs an odd number of nibbles, low one first', () => {
    const tensor = fromFloat32('int4', [3], Float32Array.of(1, -1, 7))
    expect([...tensor.data]).toEqual([0xf1, 0x07])
    expect([...unpackNibbles(tensor)]).toEqual([1, -1, 7])
  })

  it.each(['string', 'complex64'] as DType[])('refuses %s', (dtype) => {
    expect(() => toFloat32(zeros(dtype, [2]))).toThrow(UnsupportedError)
    expect(() => fromFloat32(dtype, [2], new Float32Array(2))).toThrow(UnsupportedError)
  })

  it('rounds halves to even', () => {
    expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999].map((value) => roundEven(value) + 0)).toEqual([
      -2, -2, 0, 0, 2, 2, 0,
    ])
  })
})
