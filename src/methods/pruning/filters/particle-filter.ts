import { z } from 'zod'
import { createRandom, type Random } from '../../../tensor/random.ts'
import { defineFilterPruner } from './family/family.ts'
import type { GroupToCut } from './family/pruner.ts'
import { better, randomChannels, samplesOption, tryMask, withMaskTrials, type Trial } from './family/mask-trials.ts'

/**
 * Lets choices of channels compete: each is a particle whose importance weight is the share of validation examples that
 * the model still gets right. Particles are drawn again by their weights and perturbed, step after step; the best that was
 * ever seen is taken. Each particle of each step runs the model over the samples, which is slow.
 *
 * Differs from the paper: whole channels, the coarsest of its granularities; and a perturbation swaps a channel that goes
 * for one that stays, so that as many go as were asked for.
 */
export const particleFilter = defineFilterPruner({
  name: 'particle-filter',
  summary: 'Removes filters chosen by a particle filter over masks, weighted by accuracy on validation data; slow.',
  paper: {
    title: 'Structured Pruning of Deep Convolutional Neural Networks',
    authors: 'Anwar, Hwang, Sung',
    venue: 'ACM Journal on Emerging Technologies in Computing Systems',
    year: 2017,
    arxiv: '1512.08571',
  },
  needs: ['calibration-data'],
  options: {
    particles: z.number().int().min(2).max(10_000).default(20).describe('masks that compete'),
    steps: z.number().int().min(1).max(10_000).default(10).describe('rounds of weighing, resampling and perturbing'),
    perturb: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('probability that a channel of a mask is swapped for another in a step'),
    samples: samplesOption,
  },
  select({ model, plan, options, context }) {
    const random = createRandom(context.seed).fork('particle-filter')
    const groups = plan.map(({ group }) => group)
    return withMaskTrials({ model, groups, samples: options.samples, context }, async (trials) => {
      let masks = Array.from({ length: options.particles }, () => randomChannels(plan, random))
      let best: Trial | undefined
      for (let step = 1; step <= options.steps; step++) {
        const particles: Trial[] = []
        for (const mask of masks) particles.push(await tryMask(trials, mask))
        best = particles.reduce(better, best ?? particles[0])
        const detail = { accuracy: best.accuracy }
        context.progress?.({ task: 'particle filter', done: step, total: options.steps, detail })
        // The importance weight of a particle is 1 - its misclassification rate.
        const weights = particles.map(({ accuracy }) => accuracy)
        masks = resample(weights, random).map((i) => perturbed(particles[i].removals, plan, options.perturb, random))
      }
      return best!.removals
    })
  },
})

/** Draws as many positions as there are weights, each as often as its weight says, with one random number for all. */
export function resample(weights: readonly number[], random: Random): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const shares = weights.map((weight) => (total > 0 ? weight / total : 1 / weights.length))
  const start = random.uniform()
  let [at, reached] = [0, shares[0]]
  return weights.map((_, i) => {
    while ((start + i) / weights.length >= reached && at < weights.length - 1) reached += shares[++at]
    return at
  })
}

/** Each channel that goes is swapped with the given probability for one of its group that stays. */
export function perturbed(
  removals: Trial['removals'],
  plan: readonly GroupToCut[],
  probability: number,
  random: Random,
): Map<string, readonly number[]> {
  return new Map(
    plan.map(({ group: { id, size } }) => {
      const gone = [...removals.get(id)!]
      const staying = Array.from({ length: size }, (_, channel) => channel).filter((channel) => !gone.includes(channel))
      for (let i = 0; i < gone.length; i++) {
        if (staying.length === 0 || random.uniform() >= probability) continue
        const other = random.integer(staying.length)
        ;[gone[i], staying[other]] = [staying[other], gone[i]]
      }
      return [id, gone.sort((a, b) => a - b)]
    }),
  )
}
