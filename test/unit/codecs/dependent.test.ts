import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DEPENDENT_STATES,
  dependentNumber,
  fromDependent,
  nextState,
  quantizerOf,
  toDependent,
} from '../../../src/codecs/dependent.ts'
import { predictive } from '../../../src/codecs/predictive.ts'
import { createRandom } from '../../../src/tensor/random.ts'

const signed = (numbers: Int32Array) => Uint16Array.from(numbers, (n) => (n < 0 ? -2 * n - 1 : 2 * n))

describe('dependent quantization', () => {
  it('has even numbers in one quantizer and odd ones and 0 in the other', () => {
    const numbers = (quantizer: number) => [-2, -1, 0, 1, 2].map((code) => dependentNumber(quantizer, code))
    expect(numbers(0)).toEqual([-4, -2, 0, 2, 4])
    expect(numbers(1)).toEqual([-3, -1, 0, 1, 3])
  })

  it('reaches each state from two others, and from each both quantizers in two steps', () => {
    const reached = Array.from({ length: DEPENDENT_STATES }, () => 0)
    for (let state = 0; state < DEPENDENT_STATES; state++) {
      const after = new Set<number>()
      for (const code of [0, 1]) {
        const next = nextState(state, code)
        reached[next]++
        for (const second of [0, 1]) after.add(quantizerOf(nextState(next, second)))
      }
      expect(after.size).toBe(2)
    }
    expect(reached.every((count) => count === 2)).toBe(true)
  })

  it('takes back what it made, and refuses what does not obey the machine', () => {
    const codes = fc.array(fc.integer({ min: -60, max: 60 }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(codes, (list) => {
        const numbers = Int32Array.from(list)
        fromDependent(numbers)
        const back = toDependent(numbers)
        if (list.filter((code) => code !== 0).length < 24) expect(back).toBeUndefined()
        else expect([...back!]).toEqual(list)
        expect(toDependent(Int32Array.from([...numbers, ...Array.from({ length: 30 }, () => 1)]))).toBeUndefined()
      }),
    )
  })

  it('is coded in the bytes of codes, by a coder that walks the machine', () => {
    const random = createRandom(6)
    const codes = Int32Array.from({ length: 6000 }, () => Math.round(1.5 * random.normal()))
    const numbers = codes.slice()
    fromDependent(numbers)
    const sizeOf = (values: Int32Array) => {
      const symbols = signed(values)
      const stream = { symbols, alphabet: 256, shape: [60, 100], order: { kind: 'signed' as const } }
      const bytes = predictive.encode(stream)
      expect([...predictive.decode(bytes, 6000, 256, [60, 100])]).toEqual([...symbols])
      return bytes.length
    }
    const dependent = sizeOf(numbers)
    expect(dependent).toBeLessThan(1.03 * sizeOf(codes))
    // One number that does not obey, and the others cost a bit more each.
    numbers[0] += 1
    expect(sizeOf(numbers)).toBeGreaterThan(1.1 * dependent)
  })
})
