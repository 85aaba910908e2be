import { describe, expect, it } from 'vitest'
import { constantValues } from '../../../src/ir/constant-values.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { alternateDirections, valuesOf, withValues, type Values } from '../../../src/methods/admm.ts'
import { toFloat32 } from '../../../src/tensor/half.ts'
import { float32 } from '../../../src/tensor/tensor.ts'
import type { Penalty } from '../../../src/training/extensions.ts'

const names = ['w']

function modelOf(weights: readonly number[]): Model {
  const draft = createDraft()
  draft.initializers.set('w', float32(weights, [weights.length]))
  draft.output(draft.add('Identity', ['w']), 'float32', [weights.length])
  return draft.finish()
}

function penaltyAt(pull: Penalty, weights: readonly number[]): number {
  const draft = createDraft(modelOf(weights))
  const value = pull(draft, { logits: '', labels: '', parameters: names })
  draft.output(value, 'float32', [])
  return toFloat32(constantValues(draft.finish())(value)!)[0]
}

/** ρ and Z - U of ρ/2 ‖W - Z + U‖², told by its values at zero and at plus and minus one in each place. */
function pullOf(pull: Penalty, size: number): { rho: number; goal: number[] } {
  const unit = (place: number, value: number) => Array.from({ length: size }, (_, i) => (i === place ? value : 0))
  const middle = penaltyAt(pull, unit(0, 0))
  const sides = Array.from({ length: size }, (_, i) => [1, -1].map((value) => penaltyAt(pull, unit(i, value))))
  const rho = sides[0][0] + sides[0][1] - 2 * middle
  return { rho, goal: sides.map(([up, down]) => (down - up) / (2 * rho)) }
}

/** Minimises Σ aᵢ/2 (wᵢ - cᵢ)² where all w are to be equal; each training is exact. */
async function equalWeights(rho: number, growth: number, iterations: number, dual: 'rescaled' | 'kept' = 'rescaled') {
  const [a, c] = [
    [1, 4, 0.5],
    [1, -0.5, 2],
  ]
  const strengths: number[] = []
  const result = await alternateDirections({
    model: modelOf(c),
    names,
    rho,
    growth,
    dual,
    iterations,
    project: (values: Values) => {
      const own = values.get('w')!
      return new Map([['w', own.map(() => own.reduce((sum, value) => sum + value, 0) / own.length)]])
    },
    train: async (current, pull) => {
      const { rho: strength, goal } = pullOf(pull, c.length)
      strengths.push(strength)
      const best = c.map((center, i) => (a[i] * center + strength * goal[i]) / (a[i] + strength))
      return withValues(current, new Map([['w', Float32Array.from(best)]]))
    },
  })
  const optimum = a.reduce((sum, ai, i) => sum + ai * c[i], 0) / a.reduce((sum, ai) => sum + ai, 0)
  return { weights: [...valuesOf(result, names).get('w')!], optimum, strengths }
}

describe('alternateDirections', () => {
  it('reaches the best point of the set', async () => {
    const { weights, optimum } = await equalWeights(1, 1, 60)
    for (const weight of weights) expect(weight).toBeCloseTo(optimum, 3)
  })

  it('reaches it with a pull that grows, because the dual shrinks where ρ grows', async () => {
    const { weights, optimum, strengths } = await equalWeights(0.5, 1.2, 20)
    for (const weight of weights) expect(weight).toBeCloseTo(optimum, 2)
    expect(strengths[0]).toBeCloseTo(0.5, 3)
    expect(strengths[2] / strengths[1]).toBeCloseTo(1.2, 2)
  })
  it('goes elsewhere where the scaled dual is kept, and as well where the pull does not grow', async () => {
    const { weights, optimum } = await equalWeights(0.5, 1.2, 20, 'kept')
    expect(Math.max(...weights.map((weight) => Math.abs(weight - optimum)))).toBeGreaterThan(0.05)
    const [kept, rescaled] = [await equalWeights(1, 1, 5, 'kept'), await equalWeights(1, 1, 5)]
    expect(kept.weights).toEqual(rescaled.weights)
  })
})
