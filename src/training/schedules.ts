import type { TrainingSettings } from './settings.ts'

export type ScheduleSettings = Pick<
  TrainingSettings,
  'learningRate' | 'schedule' | 'milestones' | 'gamma' | 'power' | 'warmup'
>

/**
 * The learning rate where `progress` of the run, in [0, 1), is done. A pure function, so resuming needs no state.
 * During warm-up the rate rises linearly from zero; cosine (Loshchilov, Hutter: SGDR, 2017, equation 5) and polynomial
 * fall to zero over what remains; the milestones of 'step' are fractions of the whole run.
 */
export function learningRateAt(settings: ScheduleSettings, progress: number): number {
  const { learningRate, warmup } = settings
  if (progress < warmup) return learningRate * (progress / warmup)
  const rest = warmup < 1 ? Math.min(1, (progress - warmup) / (1 - warmup)) : 1
  switch (settings.schedule) {
    case 'constant':
      return learningRate
    case 'step':
      return learningRate * settings.gamma ** settings.milestones.filter((milestone) => progress >= milestone).length
    case 'cosine':
      return (learningRate * (1 + Math.cos(Math.PI * rest))) / 2
    case 'polynomial':
      return learningRate * (1 - rest) ** settings.power
  }
}
