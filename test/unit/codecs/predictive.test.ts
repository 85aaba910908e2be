import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { entropyBits } from '../../../src/codecs/accounting.ts'
import { adaptive } from '../../../src/codecs/adaptive.ts'
import { symbolArray, type SymbolOrder, type SymbolStream } from '../../../src/codecs/codec.ts'
import { LeastSquares } from '../../../src/codecs/least-squares.ts'
import { MOST_NUMBERS } from '../../../src/codecs/number-model.ts'
import { decodeTogether, encodeTogether, predictive } from '../../../src/codecs/predictive.ts'
import { logClass } from '../../../src/codecs/tensor-statistics.ts'
import { ValuePredictor } from '../../../src/codecs/value-predictor.ts'
import { DataError, UsageError } from '../../../src/errors.ts'
import { createRandom } from '../../../src/tensor/random.ts'

const shapes: readonly (readonly number[])[] = [
  [60],
  [5, 12],
  [12, 5],
  [4, 3, 5],
  [2, 3, 2, 5],
  [3, 5, 2, 2],
  [60, 1, 1, 1],
]

const orders = (alphabet: number): fc.Arbitrary<SymbolOrder> =>
  fc.oneof(
    fc.constant({ kind: 'signed' as const }),
    fc.nat(alphabet - 1).map((zero) => ({ kind: 'offset' as const, zero })),
    fc.nat(alphabet - 1).map((below) => ({ kind: 'ranked' as const, below })),
  )

/** Any symbols in any order and shape, small alphabets and large ones. */
const streams: fc.Arbitrary<SymbolStream> = fc
  .tuple(fc.constantFrom(1, 2, 3, 16, 256, 65536), fc.constantFrom(...shapes))
  .chain(([alphabet, shape]) =>
    fc.record({
      symbols: fc.array(fc.nat(alphabet - 1), { minLength: 60, maxLength: 60 }).map((values) => {
        const symbols = symbolArray(alphabet, values.length)
        symbols.set(values)
        return symbols
      }),
      alphabet: fc.constant(alphabet),
      shape: fc.constant(shape),
      order: orders(alphabet),
    }),
  )

/** Codes of a matrix of low rank, rounded: what layers are like. */
function lowRank(seed: number, rows: number, columns: number): Uint8Array {
  const random = createRandom(seed)
  const normals = (length: number) => Float64Array.from({ length }, () => random.normal())
  const [a, b, c, d] = [normals(rows), normals(columns), normals(rows), normals(columns)]
  return Uint8Array.from({ length: rows * columns }, (_, i) => {
    const row = Math.floor(i / columns)
    const value = Math.round(2 * (a[row] * b[i % columns] + c[row] * d[i % columns]) + random.normal())
    return Math.max(-20, Math.min(20, value)) + 20
  })
}

describe('predictive', () => {
  it('gives back any symbols, together and alone', () => {
    fc.assert(
      fc.property(fc.array(streams, { minLength: 1, maxLength: 4 }), (parts) => {
        const { bytes, ends } = encodeTogether(parts)
        expect(ends).toHaveLength(parts.length)
        const headers = parts.map(({ symbols, alphabet, shape }) => ({ count: symbols.length, alphabet, shape }))
        const decoded = decodeTogether(bytes, headers)
        expect(decoded.symbols).toEqual(parts.map(({ symbols }) => symbols))
        expect(decoded.ends.at(-1)).toBeLessThanOrEqual(bytes.length)
        const { symbols, alphabet, shape } = parts[0]
        expect(predictive.decode(predictive.encode(parts[0]), symbols.length, alphabet, shape)).toEqual(symbols)
      }),
      { numRuns: 25 },
    )
  })

  it('sees what rows and columns have in common', () => {
    const symbols = lowRank(1, 60, 80)
    const stream = { symbols, alphabet: 41, shape: [60, 80], order: { kind: 'offset', zero: 20 } } as const
    const entropy = entropyBits(symbols, 41) / 8
    expect(adaptive.encode(stream).length).toBeGreaterThan(0.97 * entropy)
    expect(predictive.encode(stream).length).toBeLessThan(0.85 * entropy)
  })

  it('learns from the tensors before', () => {
    const parts = [2, 3, 4, 5].map((seed) => ({
      symbols: lowRank(seed, 8, 9),
      alphabet: 41,
      shape: [8, 9],
      order: { kind: 'offset', zero: 20 } as const,
    }))
    const apart = parts.reduce((sum, part) => sum + predictive.encode(part).length, 0)
    expect(encodeTogether(parts).bytes.length).toBeLessThan(0.95 * apart)
  })

  it('takes a byte or two for a tensor of zeros', () => {
    const zeros = new Uint8Array(300_000)
    const bytes = predictive.encode({ symbols: zeros, alphabet: 1 })
    expect(bytes.length).toBeLessThanOrEqual(2)
    // The reader may know no more than the element type.
    expect(predictive.decode(bytes, zeros.length, 256)).toEqual(zeros)
  })

  it('refuses what ends early, is left over, or is too much', () => {
    const stream = { symbols: lowRank(6, 20, 30), alphabet: 41, shape: [20, 30] }
    const bytes = predictive.encode(stream)
    expect(() => predictive.decode(bytes.subarray(0, bytes.length - 9), 600, 41, [20, 30])).toThrow(DataError)
    expect(() => predictive.decode(Uint8Array.of(...bytes, 1, 2, 3, 4, 5), 600, 41, [20, 30])).toThrow(DataError)
    expect(() => predictive.decode(bytes, MOST_NUMBERS + 1, 41)).toThrow(DataError)
    expect(() => predictive.decode(bytes.subarray(0, 4), 2 ** 20, 41)).toThrow(DataError)
    expect(() => predictive.encode({ symbols: new Uint8Array(MOST_NUMBERS + 1), alphabet: 2 })).toThrow(UsageError)
  })

  it('gives an error or symbols of the alphabet for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          for (const symbol of predictive.decode(bytes, 50, 7, [5, 10])) expect(symbol).toBeLessThan(7)
        } catch (error) {
          expect(error).toBeInstanceOf(DataError)
        }
      }),
    )
  })
})

describe('the predictor of values', () => {
  it('comes to know a row that repeats one before, and neighbours that repeat', () => {
    const random = createRandom(8)
    const row = Array.from({ length: 200 }, () => random.normal())
    const grid = { count: 800, out: 4, filter: 200, window: 1, plane: 1, row: 1 }
    const predictor = new ValuePredictor(grid)
    let error = 0
    for (let i = 0; i < 800; i++) {
      const column = i % 200
      predictor.predict(i, column)
      if (i >= 700) error += (predictor.predictions[0] - row[column]) ** 2
      predictor.update(i, column, row[column])
    }
    expect(error / 100).toBeLessThan(0.1)
  })
})

describe('recursive least squares', () => {
  it('finds the weights of a linear law, and stays finite where an input never comes', () => {
    const random = createRandom(9)
    const regression = new LeastSquares(3)
    let error = 0
    for (let i = 0; i < 100_000; i++) {
      const inputs = [random.normal(), random.normal(), 0]
      regression.inputs.set(inputs)
      const value = inputs[0] * 0.5 - inputs[1] * 0.25
      const prediction = regression.predict()
      if (i >= 20_000) error = Math.max(error, Math.abs(value - prediction))
      regression.learn(value - prediction, 1)
    }
    expect(error).toBeLessThan(0.05)
  })
})

describe('classes of numbers', () => {
  it('ascend, and divide an octave as asked', () => {
    expect(logClass(0, 1)).toBe(0)
    for (const fine of [0, 1, 2]) {
      expect(logClass(2, fine) - logClass(1, fine)).toBe(2 ** fine)
      expect(logClass(0.7, fine)).toBeLessThanOrEqual(logClass(0.71, fine))
    }
  })
})
