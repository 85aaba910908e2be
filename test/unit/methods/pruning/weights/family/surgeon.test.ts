import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lengthsOfTraces } from '../../../../../../src/methods/pruning/weights/optimal-brain-compression.ts'
import { createSurgeon } from '../../../../../../src/methods/pruning/weights/family/surgeon.ts'
import { refitRows } from '../../../../../../src/methods/refit.ts'
import { invertPositive } from '../../../../../../src/tensor/linalg.ts'
import { createRandom } from '../../../../../../src/tensor/random.ts'
import { randomHessian, squaredChange } from '../../../../../support/least-squares.ts'

const problem = (size: number, seed: number) => {
  const random = createRandom(seed)
  const weights = Float64Array.from({ length: size }, () => random.normal())
  const hessian = randomHessian(size, seed)
  return { weights, hessian, surgeon: createSurgeon(invertPositive(hessian, size)!, weights, 'layer') }
}

/** Half the squared error of the best weights without some places, found by least squares on the others. */
const errorWithout = (hessian: Float64Array, weights: Float64Array, gone: readonly number[]) => {
  const kept = [...weights.keys()].filter((k) => !gone.includes(k))
  const [fitted] = refitRows(hessian, weights.length, [weights], kept, 'layer')
  return { fitted, error: squaredChange(hessian, weights, fitted) / 2 }
}

const cases = [fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 1e9 })] as const

describe('the surgeon', () => {
  it('removes first what costs least of all, and knows how much', () => {
    fc.assert(
      fc.property(...cases, (size, seed) => {
        const { weights, hessian, surgeon } = problem(size, seed)
        const errors = Array.from(weights, (_, place) => errorWithout(hessian, weights, [place]).error)
        const { place, loss } = surgeon.next()!
        expect(errors[place]).toBeCloseTo(Math.min(...errors), 9)
        expect(loss).toBeCloseTo(errors[place], 9)
      }),
    )
  })

  it('leaves the least squares solution on what stays, and its losses add up to the error', () => {
    fc.assert(
      fc.property(...cases, (size, seed) => {
        const { weights, hessian, surgeon } = problem(size, seed)
        const gone: number[] = []
        let sum = 0
        for (let removal = surgeon.next(); removal; removal = surgeon.next()) {
          gone.push(removal.place)
          sum += removal.loss
          const { fitted, error } = errorWithout(hessian, weights, gone)
          const now = surgeon.weights()
          for (const [k, value] of now.entries()) {
            expect(value).toBeCloseTo(fitted[k], 7)
            if (gone.includes(k)) expect(value).toBe(0)
          }
          expect(sum).toBeCloseTo(error, 7)
        }
        expect(gone.toSorted((a, b) => a - b)).toEqual([...weights.keys()])
        expect(surgeon.left).toBe(0)
      }),
    )
  })

  it('is greedy: each removal is the cheapest of those left', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 7 }), fc.integer({ min: 0, max: 1e9 }), (size, seed) => {
        const { weights, hessian, surgeon } = problem(size, seed)
        const gone: number[] = []
        for (let step = 0; step < size; step++) {
          const before = errorWithout(hessian, weights, gone).error
          const left = [...weights.keys()].filter((k) => !gone.includes(k))
          const grows = left.map((k) => errorWithout(hessian, weights, [...gone, k]).error - before)
          const { place, loss } = surgeon.next()!
          expect(loss).toBeCloseTo(Math.min(...grows), 7)
          gone.push(place)
        }
      }),
    )
  })

  it('removes zeros first, equals in order, and only what is allowed', () => {
    const identity = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    const surgeon = createSurgeon(identity, Float64Array.of(2, 0, 1, 1), 'layer')
    expect(surgeon.next()).toEqual({ place: 1, loss: 0 })
    expect(surgeon.next()).toEqual({ place: 2, loss: 0.5 })
    expect(surgeon.next((place) => place !== 3)).toEqual({ place: 0, loss: 2 })
    expect(surgeon.next((place) => place !== 3)).toBeUndefined()
    expect([...surgeon.weights()]).toEqual([0, 0, 0, 1])
  })

  it('says so where there is no inverse', () => {
    const surgeon = createSurgeon(Float64Array.of(-1), Float64Array.of(1), 'fc')
    expect(() => surgeon.next()).toThrowError(expect.objectContaining({ code: 'calibration-singular', place: 'fc' }))
  })
})

describe('the lengths of traces', () => {
  it('are those of going on, one by one, in the row whose next loss is smallest', () => {
    const losses = fc.array(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 6 }), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(losses, fc.nat(40), (rows, wanted) => {
        const remove = Math.min(wanted, rows.flat().length)
        const traces = rows.map((row) => row.map((loss, place) => ({ place, loss })))
        const expected = rows.map(() => 0)
        for (let i = 0; i < remove; i++) {
          const next = rows.map((row, r) => row[expected[r]] ?? Infinity)
          expected[next.indexOf(Math.min(...next))]++
        }
        const found = lengthsOfTraces(traces, remove)
        const total = (lengths: number[]) =>
          rows.reduce((sum, row, r) => sum + row.slice(0, lengths[r]).reduce((own, loss) => own + loss, 0), 0)
        expect(found.reduce((sum, length) => sum + length, 0)).toBe(remove)
        // Ties may go either way: the losses are the same in sum.
        expect(total(found)).toBe(total(expected))
      }),
    )
  })
})
