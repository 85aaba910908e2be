import { z } from 'zod'
import type { Draft } from '../../../ir/draft.ts'
import type { Model } from '../../../ir/model.ts'
import { fromFloat32, toFloat32 } from '../../../tensor/half.ts'
import { float32, type Tensor } from '../../../tensor/tensor.ts'
import { partialTrainingSettings, retrains } from '../../retraining.ts'
import { withInitializers } from '../../weights.ts'
import { defineWeightPruner } from './family/family.ts'
import { retrainMasked } from '../rounds.ts'
import { scalarIn } from '../sparse-training.ts'

/**
 * Pruning by the alternating direction method of multipliers: minimise f(W) + Σ g(Z) subject to W = Z, where g is zero for
 * weights that are sparse as demanded and infinite for others. In turns, W learns with a pull towards Z − U,
 * Z is the sparse point nearest to W + U, and U sums up how far they are apart. What is not in the sparse
 * point then goes, and the rest is retrained. In several rounds it is the progressive form (Ye et al. 2019, 1903.09769):
 * each starts from what the round before has left, of which nothing comes back.
 *
 * Differs from the paper: sgd or what the recipe says in place of Adam; the pull ρ may grow from iteration to iteration; and
 * beside one number a layer there may be one for all layers, or whole blocks, of which the largest sums of squares stay.
 */
export const admmPruning = defineWeightPruner({
  name: 'admm-pruning',
  summary: 'Trains with a pull towards the nearest sparse weights, in turns with finding these, and then prunes.',
  paper: {
    title: 'A Systematic DNN Weight Pruning Framework using Alternating Direction Method of Multipliers',
    authors: 'Zhang, Ye, Zhang, Tang, Wen, Fardad, Wang',
    venue: 'ECCV',
    year: 2018,
    arxiv: '1804.03294',
  },
  needs: ['training-data', 'gradients'],
  options: {
    rho: z.number().positive().max(100).default(0.01).describe('strength of the pull towards sparse weights'),
    growth: z.number().min(1).max(100).default(1).describe('factor of rho from one iteration to the next'),
    iterations: z.number().int().min(1).max(100).default(4).describe('trainings with a pull, in each round'),
    regularize: partialTrainingSettings
      .optional()
      .describe('training settings of each training with a pull; default: as the recipe says'),
  },
  async train({ model, layers, options: { rho, growth, iterations, regularize = {} }, context, round, project }) {
    retrains(regularize, context)
    const names = layers.map(({ weight }) => weight)
    const sparse = async (values: Values) => valuesOf(await project(withValues(model, values)), names)
    let current = model
    let target = await sparse(valuesOf(model, names))
    let dual: Values = combined(target, target, (a, b) => a - b)
    for (let iteration = 1; iteration <= iterations; iteration++) {
      const label = `pull ${round}.${iteration}`
      const goal = combined(target, dual, (point, sum) => point - sum)
      const pull = (draft: Draft) => distance(draft, goal, model, rho * growth ** (iteration - 1))
      current = await retrainMasked(current, new Map(), regularize, context, label, { penalties: [pull] })
      const sum = combined(valuesOf(current, names), dual, (weight, before) => weight + before)
      target = await sparse(sum)
      dual = combined(sum, target, (all, point) => all - point)
    }
    return current
  },
  // The nearest point with so many zeros keeps the largest squares, of sets of weights the largest sums of them.
  score: ({ weight }) => weight.map((value) => value * value),
})

/** By the name of a weight, values of its shape: W, Z or U. */
type Values = ReadonlyMap<string, Float32Array>

function valuesOf({ graph }: Model, names: readonly string[]): Values {
  return new Map(names.map((name) => [name, toFloat32(graph.initializers.get(name)!)]))
}

function withValues(model: Model, values: Values): Model {
  const tensorOf = (name: string, data: Float32Array): Tensor => {
    const { dtype, shape } = model.graph.initializers.get(name)!
    return fromFloat32(dtype, shape, data)
  }
  return withInitializers(model, new Map([...values].map(([name, data]) => [name, tensorOf(name, data)])))
}

function combined(a: Values, b: Values, rule: (a: number, b: number) => number): Values {
  return new Map([...a].map(([name, own]) => [name, own.map((value, i) => rule(value, b.get(name)![i]))]))
}

/** Σ ρ/2 ‖W − Z + U‖², the pull in the problem that W solves, for goals Z − U. */
function distance(draft: Draft, goals: Values, { graph }: Model, rho: number): string {
  const squares = [...goals].map(([name, goal]) => {
    const target = draft.constant(`${name}.goal`, float32(goal, graph.initializers.get(name)!.shape))
    const apart = draft.add('Sub', [name, target])
    return draft.add('ReduceSum', [draft.add('Mul', [apart, apart])], { keepdims: 0 })
  })
  const sum = squares.length === 1 ? squares[0] : draft.add('Sum', squares)
  return draft.add('Mul', [sum, scalarIn(draft, rho / 2)])
}
