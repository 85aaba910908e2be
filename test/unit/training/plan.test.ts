import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chunkAfter, planTraining } from '../../../src/training/plan.ts'

describe('planTraining', () => {
  it('covers every example of every epoch exactly once, the partial batch included', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 9 }),
        (examples, batchSize, epochs, perRun) => {
          const plan = planTraining(examples, { epochs, batchSize }, perRun)
          const seen = Array.from({ length: epochs }, () => Array.from({ length: examples }, () => 0))
          let steps = 0
          for (let chunk = chunkAfter(plan, 0); chunk; chunk = chunkAfter(plan, steps)) {
            expect(chunk.steps).toBeLessThanOrEqual(perRun)
            expect(chunk.before).toBe(steps)
            for (let i = 0; i < chunk.steps * chunk.batchSize; i++) seen[chunk.epoch][chunk.start + i]++
            steps += chunk.steps
          }
          expect(steps).toBe(plan.totalSteps)
          expect(seen.flat().every((times) => times === 1)).toBe(true)
        },
      ),
    )
  })

  it('stops in the middle of an epoch when the epochs are a fraction', () => {
    expect(planTraining(100, { epochs: 1.5, batchSize: 10 }, 4).totalSteps).toBe(15)
    expect(() => planTraining(100, { epochs: 0.01, batchSize: 10 }, 4)).toThrow(/less than one step/)
  })
})
