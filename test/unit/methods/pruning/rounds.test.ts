import { describe, expect, it } from 'vitest'
import { sparsitySchedules } from '../../../../src/methods/pruning/rounds.ts'

describe('sparsitySchedules', () => {
  it('rise from nothing to the end', () => {
    for (const schedule of Object.values(sparsitySchedules)) {
      expect(schedule(0.9, 0)).toBeCloseTo(0)
      expect(schedule(0.9, 1)).toBeCloseTo(0.9)
      expect(schedule(0.9, 0.5)).toBeGreaterThan(schedule(0.9, 0.4))
    }
    expect(sparsitySchedules.geometric(0.75, 0.5)).toBeCloseTo(0.5)
  })
})
