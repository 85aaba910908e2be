import { z } from 'zod'
import { createRandom, type Random } from '../../../tensor/random.ts'
import type { InputMoments } from '../../calibration.ts'
import { createPace } from '../../pace.ts'
import { momentsOfWeights, NO_MOMENTS, splitRows } from '../../row-hessians.ts'
import { weightRows } from '../../weight-rows.ts'
import { defineWeightPruner } from './family/family.ts'

/**
 * Sun et al. 2016, section 4: a connection matters as the neurons at its ends are correlated,
 * r_ab = E[(a - µ_a)(b - µ_b)] / (σ_a σ_b). The positive and the negative correlations of each output neuron are ranked
 * separately. Of the share that is to stay of either, λ comes at random from its stronger half and 1 - λ from the weaker
 * one: some weak connections bring what the strong ones repeat.
 *
 * Correlations are those of the pre-activation, and of a convolution those of its patches over all places.
 *
 * Differs from the paper: a connection gets the share from which on it is drawn as its score, so that the same draw serves
 * any sparsity; inputs that never change go first. The paper takes layer by layer, the last first, and retrains after each:
 * a step of the recipe each, with include.
 */
export const activationCorrelation = defineWeightPruner({
  name: 'activation-correlation',
  summary: 'Removes connections between neurons whose activations have little to do with each other.',
  paper: {
    title: 'Sparsifying Neural Network Connections for Face Recognition',
    authors: 'Sun, Wang, Tang',
    venue: 'CVPR',
    year: 2016,
    arxiv: '1512.01891',
  },
  needs: ['calibration-data'],
  options: {
    samples: z.number().int().min(2).max(100_000).default(256).describe('examples that correlations are taken over'),
    strong: z
      .number()
      .min(0)
      .max(1)
      .default(0.75)
      .describe('share of what stays that comes from the stronger half of the correlations'),
    order: z
      .enum(['random', 'ranked'])
      .default('random')
      .describe('within a half: by lot, as the paper has it, or the strongest first'),
  },
  prepare: ({ model, layers, options: { samples }, context }) =>
    momentsOfWeights(model, new Set(layers.map(({ weight }) => weight)), samples, context),
  async score({ layer, weight, model, prepared, options, context }) {
    const rows = weightRows(model, layer)
    const moments = prepared.get(layer.weight)
    if (!rows || !moments) {
      context.skip(layer.name, `its correlations cannot be told: ${NO_MOMENTS}`)
      return undefined
    }
    const random = createRandom(context.seed).fork('activation-correlation').fork(layer.weight)
    const pace = createPace(context)
    const scores = new Float32Array(weight.length)
    let group = -1
    let covariance: Float64Array = new Float64Array()
    for (const [r, row] of splitRows(weight, rows).entries()) {
      // The rows of a group lie side by side.
      if (r % (rows.count / rows.groups) === 0) covariance = covarianceOf(++group, moments)
      const correlations = correlationsOf(row, covariance)
      for (const sign of [1, -1]) {
        const places = [...row.keys()].filter((k) => row[k] !== 0 && correlations[k] * sign > 0)
        const ranked = places.toSorted((a, b) => (correlations[b] - correlations[a]) * sign || a - b)
        drawn(ranked, options, random, (k, share) => {
          scores[rows.base[r] + k * rows.stride] = 1 - share
        })
      }
      await pace(rows.length ** 2)
    }
    return scores
  },
})

/** Cov(x_a, x_b) of the inputs of a group, [K, K]; nothing where an input never changes but for rounding. */
function covarianceOf(group: number, { length, mean, gram }: InputMoments): Float64Array {
  const moment = (a: number, b: number) => gram[(group * length + a) * length + b]
  const product = (a: number, b: number) => mean[group * length + a] * mean[group * length + b]
  const changes = Array.from({ length }, (_, k) => moment(k, k) - product(k, k) > ROUNDING * moment(k, k))
  const covariance = new Float64Array(length * length)
  for (let a = 0; a < length; a++)
    for (let b = 0; b < length; b++)
      if (changes[a] && changes[b]) covariance[a * length + b] = moment(a, b) - product(a, b)
  return covariance
}

/** A variance of less than this share of the mean square is the engine's rounding. */
const ROUNDING = 1e-6

/** r of the row's output y = Σ w_k x_k with each input, from Cov(y, x_b) = Σ w_k Cov(x_k, x_b); 0 where one is constant. */
function correlationsOf(row: Float64Array, covariance: Float64Array): Float64Array {
  const size = row.length
  const shared = new Float64Array(size)
  for (let k = 0; k < size; k++)
    if (row[k] !== 0) for (let b = 0; b < size; b++) shared[b] += row[k] * covariance[k * size + b]
  const variance = row.reduce((sum, w, b) => sum + w * shared[b], 0)
  return shared.map((value, b) =>
    value === 0 || variance <= 0 ? 0 : value / Math.sqrt(variance * covariance[b * size + b]),
  )
}

/**
 * Calls `visit` for each connection with the share of all that must stay for it to be among them, when λ of what stays is
 * taken from the first half of the ranking, in the drawn order, and the rest from the second.
 */
function drawn(
  ranked: readonly number[],
  { strong, order }: { readonly strong: number; readonly order: 'random' | 'ranked' },
  random: Random,
  visit: (place: number, share: number) => void,
): void {
  const half = Math.ceil(ranked.length / 2)
  const halves = [
    { places: ranked.slice(0, half), part: strong, other: ranked.length - half },
    { places: ranked.slice(half), part: 1 - strong, other: half },
  ]
  for (const { places, part, other } of halves) {
    const turns = order === 'random' ? random.shuffle(places.slice()) : places
    // When the other half is used up, all that is added comes from this one.
    for (const [i, place] of turns.entries())
      visit(place, Math.min((i + 0.5) / (part * ranked.length), (i + 0.5 + other) / ranked.length))
  }
}
