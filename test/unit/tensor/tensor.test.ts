import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ModelError, UnsupportedError } from '../../../src/errors.ts'
import { dtypes, storageLength, type DType } from '../../../src/tensor/dtype.ts'
import {
  elementsOf,
  fromBigInts,
  fromElements,
  fromNumbers,
  integersOf,
  toBigInts,
  toNumbers,
} from '../../../src/tensor/elements.ts'
import { broadcastShape, broadcastStrides, rowMajorStrides, walk } from '../../../src/tensor/shape.ts'
import { errorFunction } from '../../../src/tensor/special.ts'
import {
  byteLength,
  bytesOf,
  createTensor,
  elementCount,
  float32,
  identical,
  int64,
  reshaped,
  scalar,
  zeros,
} from '../../../src/tensor/tensor.ts'

const all = Object.keys(dtypes) as DType[]

describe('element types', () => {
  it.each(all)('%s stores as many bits as it says', (dtype) => {
    for (const count of [0, 1, 2, 7]) {
      const tensor = zeros(dtype, [count])
      expect(tensor.data.length).toBe(storageLength(dtype, count))
      if (dtype !== 'string') expect(byteLength(tensor)).toBe(Math.ceil((count * dtypes[dtype].bits) / 8))
    }
  })
})

describe('a tensor', () => {
  it('refuses storage of another length', () => {
    expect(() => createTensor('float32', [2, 2], new Float32Array(3))).toThrow(ModelError)
    expect(() => createTensor('int4', [3], new Uint8Array(3))).toThrow(/2 stored/)
    expect(() => reshaped(float32([1, 2]), [3])).toThrow(ModelError)
  })

  it('has one element without axes and none with an empty one', () => {
    expect(elementCount([])).toBe(1)
    expect(elementCount([3, 0])).toBe(0)
    expect(scalar('int64', 5).data).toEqual(BigInt64Array.of(5n))
  })

  it('is identical by bits', () => {
    expect(identical(float32([Number.NaN]), float32([Number.NaN]))).toBe(true)
    expect(identical(float32([0]), float32([-0]))).toBe(false)
    expect(identical(float32([1, 2]), float32([1, 2], [2, 1]))).toBe(false)
    expect(identical(int64([0]), zeros('float64', [1]))).toBe(false)
    expect(identical(createTensor('string', [1], ['a']), createTensor('string', [1], ['b']))).toBe(false)
    expect(() => bytesOf(zeros('string', [1]))).toThrow(ModelError)
  })

  it('counts the bytes of texts in UTF-8', () => {
    expect(byteLength(createTensor('string', [2], ['ä', 'b']))).toBe(3)
  })
})

describe('elements', () => {
  const numeric = all.filter(
    (dtype) => ['integer', 'bool'].includes(dtypes[dtype].kind) || /^b?float(16|32|64)$/.test(dtype),
  )

  it.each(numeric)('%s goes to numbers and back', (dtype) => {
    const low = dtypes[dtype].kind === 'bool' || dtype.startsWith('u') ? 0 : -1
    const values = [0, 1, low, 1, 0]
    const tensor = fromNumbers(dtype, [5], values)
    expect([...toNumbers(tensor)]).toEqual(values)
    expect(identical(fromElements(dtype, [5], elementsOf(tensor)), tensor)).toBe(true)
  })

  it('truncate towards zero and wrap around, as C converts', () => {
    expect([...fromNumbers('int8', [4], [-1.9, 1.9, 130, -129]).data]).toEqual([-1, 1, -126, 127])
    expect([...fromNumbers('int64', [2], [-1.9, Number.NaN]).data]).toEqual([-1n, -(2n ** 63n)])
    expect([...fromNumbers('bool', [2], [1e-300, 0]).data]).toEqual([1, 0])
  })

  it('keep integers exact', () => {
    const big = int64([2n ** 62n + 1n, -5n])
    expect(toBigInts(big)).toBe(big.data)
    expect([...toBigInts(fromNumbers('int32', [2], [7, -7]))]).toEqual([7n, -7n])
    expect([...fromBigInts('int32', [2], BigInt64Array.of(2n ** 31n, -1n)).data]).toEqual([-(2 ** 31), -1])
    expect([...fromBigInts('uint64', [1], BigInt64Array.of(-1n)).data]).toEqual([2n ** 64n - 1n])
    expect(integersOf(int64([3, -1]))).toEqual([3, -1])
    expect(() => integersOf(float32([1]))).toThrow(ModelError)
  })

  it('of complex tensors do not move one by one', () => {
    expect(() => elementsOf(zeros('complex64', [2]))).toThrow(UnsupportedError)
  })
})

describe('shapes', () => {
  it('broadcast as in numpy', () => {
    expect(broadcastShape([2, 1, 4], [3, 1])).toEqual([2, 3, 4])
    expect(broadcastShape([], [0], [1])).toEqual([0])
    expect(broadcastStrides([3, 1], [2, 3, 4])).toEqual([0, 1, 0])
    expect(() => broadcastShape([2], [3])).toThrow(ModelError)
  })

  it('are walked in row-major order', () => {
    const dims = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 })
    fc.assert(
      fc.property(dims, (shape) => {
        const strides = rowMajorStrides(shape)
        const visited: number[] = []
        walk(shape, strides, broadcastStrides([], shape), (index, offset, fixed) => {
          expect(offset).toBe(index)
          expect(fixed).toBe(0)
          visited.push(index)
        })
        expect(visited).toEqual([...Array(elementCount(shape)).keys()])
      }),
    )
  })
})

describe('the error function', () => {
  it('has the values of the tables', () => {
    const table = [
      [0, 0],
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [2, 0.9953222650189527],
      [3, 0.9999779095030014],
      [7, 1],
    ]
    for (const [x, y] of table) {
      expect(errorFunction(x)).toBeCloseTo(y, 14)
      expect(errorFunction(-x)).toBeCloseTo(-y, 14)
    }
  })
})
