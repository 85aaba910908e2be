import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRandom, resumeRandom, type Random } from '../../../src/tensor/random.ts'

const draw = (random: Random, count = 8) => Array.from({ length: count }, () => random.bits())

describe('random numbers', () => {
  it('never change', () => {
    expect(draw(createRandom(1), 3)).toEqual(draw(createRandom(1), 3))
    expect(draw(createRandom(1), 3)).toMatchInlineSnapshot(`
      [
        2420951833,
        2513034076,
        3847892949,
      ]
    `)
  })

  it('differ between seeds, also between those that differ in the high word', () => {
    expect(draw(createRandom(1))).not.toEqual(draw(createRandom(2)))
    expect(draw(createRandom(1))).not.toEqual(draw(createRandom(1 + 2 ** 33)))
  })

  it('are uniform: mean, variance and every bit', () => {
    const random = createRandom(7)
    const count = 100_000
    let [sum, squares] = [0, 0]
    for (let i = 0; i < count; i++) {
      const value = random.uniform()
      sum += value
      squares += (value - 0.5) ** 2
    }
    expect(Math.abs(sum / count - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / count))
    expect(Math.abs(squares / count - 1 / 12)).toBeLessThan(4 * Math.sqrt(1 / 180 / count))
    const ones = new Float64Array(32)
    for (let i = 0; i < count; i++) {
      const bits = random.bits()
      for (let bit = 0; bit < 32; bit++) ones[bit] += (bits >>> bit) & 1
    }
    for (const each of ones) expect(Math.abs(each / count - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / count))
  })

  it('are normal: mean, variance, skewness, kurtosis, and one in twenty beyond 1.96', () => {
    const random = createRandom(11)
    const count = 200_000
    const moments = [0, 0, 0, 0]
    let beyond = 0
    for (let i = 0; i < count; i++) {
      const value = random.normal()
      for (let power = 1; power <= 4; power++) moments[power - 1] += value ** power / count
      if (Math.abs(value) > 1.959964) beyond++
    }
    expect(moments[0]).toBeCloseTo(0, 1.7)
    expect(moments[1]).toBeCloseTo(1, 1.5)
    expect(moments[2]).toBeCloseTo(0, 1.3)
    expect(moments[3]).toBeCloseTo(3, 0.9)
    expect(Math.abs(beyond / count - 0.05)).toBeLessThan(0.003)
  })

  it('give whole numbers below a bound, all of them', () => {
    const random = createRandom(3)
    const counts = new Float64Array(7)
    for (let i = 0; i < 70_000; i++) counts[random.integer(7)]++
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500)
  })

  it('shuffle in place, each order as likely as another', () => {
    const random = createRandom(5)
    const seen = new Map<string, number>()
    for (let i = 0; i < 24_000; i++) {
      const key = random.shuffle([0, 1, 2, 3]).join('')
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
    expect(seen.size).toBe(24)
    for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(160)
  })
})

describe('a state', () => {
  it('resumes where it was taken, with the spare normal number, also through JSON', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(20), fc.nat(5), (seed, uniforms, normals) => {
        const random = createRandom(seed)
        for (let i = 0; i < uniforms; i++) random.bits()
        for (let i = 0; i < normals; i++) random.normal()
        const resumed = resumeRandom(JSON.parse(JSON.stringify(random.state())) as number[])
        expect(resumed.normal()).toBe(random.normal())
        expect(draw(resumed)).toEqual(draw(random))
        expect(draw(resumed.fork('x'))).toEqual(draw(random.fork('x')))
      }),
    )
  })
})

describe('a fork', () => {
  it('depends on seed and label alone, not on what was drawn', () => {
    const random = createRandom(9)
    const before = draw(random.fork('weights'))
    random.bits()
    expect(draw(random.fork('weights'))).toEqual(before)
    expect(draw(random.fork('biases'))).not.toEqual(before)
    expect(draw(createRandom(10).fork('weights'))).not.toEqual(before)
  })

  it('tells numbers from texts, and labels that are near', () => {
    const firsts = new Set(Array.from({ length: 1000 }, (_, i) => createRandom(1).fork(i).bits()))
    expect(firsts.size).toBe(1000)
    expect(draw(createRandom(1).fork(1))).not.toEqual(draw(createRandom(1).fork('1')))
  })
})
