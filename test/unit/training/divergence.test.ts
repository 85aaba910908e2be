import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { createLossWatch } from '../../../src/training/divergence.ts'

const chance = Math.log(10)

describe('createLossWatch', () => {
  it('names the step, the loss and what to try when the loss is not a number', () => {
    const watch = createLossWatch(chance)
    watch.observe(2.3, 1, 0.1)
    const act = () => watch.observe(Number.NaN, 2, 0.1)
    expect(act).toThrow(UsageError)
    expect(act).toThrow(/step 2.*NaN/)
    try {
      act()
    } catch (error) {
      expect((error as UsageError).code).toBe('training-diverged')
      expect((error as UsageError).hint).toMatch(/0\.01/)
    }
  })

  it('fires when the loss stays far above that of an untrained network', () => {
    const watch = createLossWatch(chance)
    const act = () => {
      for (let step = 1; step <= 200; step++) watch.observe(2.3 * 1.05 ** step, step, 1)
    }
    expect(act).toThrow(/grew to/)
  })

  it('does not fire on noise, on single wild batches, or on a good network that was damaged', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 12, noNaN: true }), { minLength: 1, maxLength: 300 }), (noise) => {
        const watch = createLossWatch(chance)
        noise.forEach((loss, i) => watch.observe(i % 50 === 7 ? loss * 20 : loss, i + 1, 0.1))
      }),
      { numRuns: 50 },
    )
    const watch = createLossWatch(chance)
    watch.observe(0.001, 1, 0.1)
    for (let step = 2; step < 100; step++) watch.observe(2.3, step, 0.1)
  })

  it('goes on where it was', () => {
    const whole = createLossWatch(chance)
    for (let step = 1; step <= 20; step++) whole.observe(1 / step, step, 0.1)
    const part = createLossWatch(chance)
    for (let step = 1; step <= 10; step++) part.observe(1 / step, step, 0.1)
    const rest = createLossWatch(chance, part.trend())
    for (let step = 11; step <= 20; step++) rest.observe(1 / step, step, 0.1)
    expect(rest.trend()).toEqual(whole.trend())
  })
})
