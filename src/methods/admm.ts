/**
 * The alternating direction method of multipliers for weights that are to lie in a set: sparse ones, quantized ones.
 */
import { z } from 'zod'
import type { Draft } from '../ir/draft.ts'
import type { Model } from '../ir/model.ts'
import { fromFloat32, toFloat32 } from '../tensor/half.ts'
import { float32, type Tensor } from '../tensor/tensor.ts'
import type { Penalty } from '../training/extensions.ts'
import { withInitializers } from './weights.ts'

/** By the name of a weight, values of its shape: W, Z or U. */
export type Values = ReadonlyMap<string, Float32Array>

/** The options of every method that goes in alternating directions, with defaults of its own for some. */
export function alternatingOptions(defaults: { readonly growth: number; readonly iterations: number }) {
  return {
    rho: z.number().positive().max(100).default(0.01).describe('strength of the pull in the first iteration'),
    growth: z
      .number()
      .min(1)
      .max(100)
      .default(defaults.growth)
      .describe('factor of rho from one iteration to the next'),
    dual: z
      .enum(['rescaled', 'kept'])
      .default('rescaled')
      .describe(
        'where rho grows: whether the scaled dual shrinks as much, so that the dual stays what it is, or is kept, which pulls weights past the set and lets more of them change places in it',
      ),
    iterations: z.number().int().min(1).max(100).default(defaults.iterations).describe('trainings with a pull'),
  }
}

type AlternatingOptions = z.infer<z.ZodObject<ReturnType<typeof alternatingOptions>>>

export interface AlternatingDirections extends AlternatingOptions {
  readonly model: Model
  /** The weights that are to lie in the set. */
  readonly names: readonly string[]
  /** The point of the set that is nearest to `values`. */
  project(values: Values): Values | Promise<Values>
  /** Minimises the loss and the pull, starting at `current`; iterations count from 1. */
  train(current: Model, pull: Penalty, iteration: number): Promise<Model>
}

/**
 * Minimises f(W) subject to W = Z with Z in the set, in the scaled form of Boyd et al. 2011, section 3.1.1. In turns
 * W ← argmin f(W) + ρ/2 ‖W − Z + U‖², by training; Z ← the point of the set nearest to W + U; and U ← U + W − Z, the
 * sum of how far both were apart. It starts at the model's weights with U = 0. Where ρ grows, U shrinks by the same
 * factor (section 3.4.1), since it stands for a dual ρ U that does not change with ρ. `dual: 'kept'` leaves it as it is,
 * as many implementations do: the dual grows with ρ, and the next W lies beyond the set.
 * @returns the model with the last W.
 */
export async function alternateDirections(task: AlternatingDirections): Promise<Model> {
  const { model, names, rho, growth, iterations } = task
  const shrinkage = task.dual === 'rescaled' ? growth : 1
  let current = model
  let target = await task.project(valuesOf(model, names))
  let dual: Values = combined(target, target, (a, b) => a - b)
  for (let iteration = 1; iteration <= iterations; iteration++) {
    const goal = combined(target, dual, (point, sum) => point - sum)
    const pull = (draft: Draft) => distance(draft, goal, model, rho * growth ** (iteration - 1))
    current = await task.train(current, pull, iteration)
    const sum = combined(valuesOf(current, names), dual, (weight, before) => weight + before)
    target = await task.project(sum)
    dual = combined(sum, target, (all, point) => (all - point) / shrinkage)
  }
  return current
}

export function valuesOf({ graph }: Model, names: readonly string[]): Values {
  return new Map(names.map((name) => [name, toFloat32(graph.initializers.get(name)!)]))
}

export function withValues(model: Model, values: Values): Model {
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
  return draft.add('Mul', [sum, draft.constant('value', float32([rho / 2], []))])
}
