import { describe, expect, it } from 'vitest'
import { learningRateAt, type ScheduleSettings } from '../../../src/training/schedules.ts'

const base: ScheduleSettings = {
  learningRate: 0.1,
  schedule: 'constant',
  milestones: [0.5, 0.75],
  gamma: 0.1,
  power: 1,
  warmup: 0,
}

describe('learningRateAt', () => {
  it('keeps a constant rate', () => {
    for (const progress of [0, 0.3, 0.99]) expect(learningRateAt(base, progress)).toBe(0.1)
  })

  it('drops by gamma at each milestone', () => {
    const settings: ScheduleSettings = { ...base, schedule: 'step' }
    expect(learningRateAt(settings, 0.49)).toBe(0.1)
    expect(learningRateAt(settings, 0.5)).toBeCloseTo(0.01, 12)
    expect(learningRateAt(settings, 0.8)).toBeCloseTo(0.001, 12)
  })

  it('falls along half a cosine', () => {
    const settings: ScheduleSettings = { ...base, schedule: 'cosine' }
    expect(learningRateAt(settings, 0)).toBeCloseTo(0.1, 12)
    expect(learningRateAt(settings, 0.5)).toBeCloseTo(0.05, 12)
    expect(learningRateAt(settings, 1)).toBeCloseTo(0, 12)
  })

  it('falls polynomially', () => {
    const settings: ScheduleSettings = { ...base, schedule: 'polynomial', power: 2 }
    expect(learningRateAt(settings, 0.5)).toBeCloseTo(0.025, 12)
  })

  it('rises linearly from zero during warm-up and spreads the fall over what remains', () => {
    const settings: ScheduleSettings = { ...base, schedule: 'cosine', warmup: 0.2 }
    expect(learningRateAt(settings, 0)).toBe(0)
    expect(learningRateAt(settings, 0.1)).toBeCloseTo(0.05, 12)
    expect(learningRateAt(settings, 0.2)).toBeCloseTo(0.1, 12)
    expect(learningRateAt(settings, 0.6)).toBeCloseTo(0.05, 12)
  })

  it('warms up over the whole run when warm-up is 1', () => {
    expect(learningRateAt({ ...base, schedule: 'cosine', warmup: 1 }, 0.5)).toBeCloseTo(0.05, 12)
  })
})
