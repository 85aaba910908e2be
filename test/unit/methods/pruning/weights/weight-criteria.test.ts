import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import type { Context, Method } from '../../../../../src/methods/method.ts'
import { activationCorrelation } from '../../../../../src/methods/pruning/weights/activation-correlation.ts'
import { gradientMagnitude } from '../../../../../src/methods/pruning/weights/gradient-magnitude.ts'
import { optimalBrainDamage } from '../../../../../src/methods/pruning/weights/optimal-brain-damage.ts'
import { randomWeights } from '../../../../../src/methods/pruning/weights/random-weights.ts'
import { weightGradients } from '../../../../../src/methods/weight-gradients.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createTensor, float32 } from '../../../../../src/tensor/tensor.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

const [mlp, cnn] = tinyModels()

function contextOf(train?: Dataset, seed = 1, skipped: string[] = []): Context {
  const where = { seed, engine: onnxruntime, skip: (layer: string, why: string) => skipped.push(`${layer}: ${why}`) }
  return train ? { ...where, data: { train, validation: train } } : where
}

const prune = (method: Method, model: Model, options: object, context: Context) =>
  method.apply(model, method.options.parse({ retrain: false, ...options }), context)
const weightsOf = (model: Model, name: string) => [...toFloat32(model.graph.initializers.get(name)!)]
const zeros = (values: readonly number[]) => values.flatMap((value, i) => (value === 0 ? [i] : []))
const lowest = (scores: readonly number[], count: number) =>
  [...scores.keys()]
    .toSorted((a, b) => scores[a] - scores[b])
    .slice(0, count)
    .toSorted((a, b) => a - b)

const patterns = patternData({ size: 60, seed: 4, classes: 4, inputShape: [8], noise: 0.3 })

describe('random-weights', () => {
  it('removes the asked share, the same for the same seed and others for another', async () => {
    const gone = async (seed: number) =>
      zeros(
        weightsOf(await prune(randomWeights, mlp.model, { sparsity: 0.5 }, contextOf(undefined, seed)), 'fc1.weight'),
      )
    expect(await gone(1)).toHaveLength(64)
    expect(await gone(1)).toEqual(await gone(1))
    expect(await gone(2)).not.toEqual(await gone(1))
  })

  it('does not look at the weights', async () => {
    const turned = new Map(mlp.model.graph.initializers)
    const { shape } = turned.get('fc1.weight')!
    turned.set('fc1.weight', float32(Float32Array.from(weightsOf(mlp.model, 'fc1.weight').toReversed()), shape))
    const other: Model = { ...mlp.model, graph: { ...mlp.model.graph, initializers: turned } }
    const [a, b] = await Promise.all(
      [mlp.model, other].map((model) => prune(randomWeights, model, { sparsity: 0.3 }, contextOf())),
    )
    expect(zeros(weightsOf(a, 'fc1.weight'))).toEqual(zeros(weightsOf(b, 'fc1.weight')))
  })
})

describe('criteria of gradients', () => {
  const ofGradients = (labels: 'true' | 'drawn') =>
    weightGradients(mlp.model, ['fc1.weight', 'fc2.weight'], patterns, { samples: 60, labels }, contextOf(patterns))

  it('gradient-magnitude removes the smallest |w · E[g]|, or the smallest |E[g]|', async () => {
    const { mean } = (await ofGradients('true')).get('fc1.weight')!
    const weight = weightsOf(mlp.model, 'fc1.weight')
    for (const times of ['weight', 'nothing']) {
      const scores = weight.map((w, i) => Math.abs(mean[i] * (times === 'weight' ? w : 1)))
      const options = { sparsity: 0.4, samples: 60, times, include: ['fc1'] }
      const result = await prune(gradientMagnitude, mlp.model, options, contextOf(patterns))
      expect(zeros(weightsOf(result, 'fc1.weight'))).toEqual(lowest(scores, 51))
    }
  })

  it.each(['drawn', 'true'] as const)(
    'optimal-brain-damage removes the smallest h w² / 2, labels: %s',
    async (labels) => {
      const { square } = (await ofGradients(labels)).get('fc1.weight')!
      const scores = weightsOf(mlp.model, 'fc1.weight').map((w, i) => (w * w * square[i]) / 2)
      const options = { sparsity: 0.4, samples: 60, labels, include: ['fc1'] }
      // The same seed draws the same labels, whatever weights are looked at.
      const result = await prune(optimalBrainDamage, mlp.model, options, contextOf(patterns))
      expect(zeros(weightsOf(result, 'fc1.weight'))).toEqual(lowest(scores, 51))
    },
  )

  it('optimal-brain-damage keeps a small weight that a large input is multiplied with', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['batch', 2])
    // The second input is a hundred times as large: its smaller weight matters more.
    const weight = draft.constant('w', float32([0.3, 0.01, -0.3, -0.01], [2, 2]))
    draft.output(draft.add('Gemm', [x, weight], { transB: 1 }, { name: 'only' }), 'float32', ['batch', 2])
    const data: Dataset = {
      name: 'scaled',
      size: 100,
      inputShape: [2],
      classes: 2,
      batch: async (indices) => ({
        inputs: createTensor(
          'float32',
          [indices.length, 2],
          Float32Array.from(Array.from(indices).flatMap((i) => [(i % 3) - 1, ((i % 5) - 2) * 100])),
        ),
        labels: Int32Array.from(indices, () => 0),
      }),
    }
    const options = { sparsity: 0.5, samples: 100 }
    const result = await prune(optimalBrainDamage, draft.finish(), options, contextOf(data))
    expect(zeros(weightsOf(result, 'w'))).toEqual([0, 2])
  })

  it('need data with labels that the model knows', async () => {
    const five = patternData({ size: 30, seed: 1, classes: 9, inputShape: [8] })
    await expect(prune(gradientMagnitude, mlp.model, {}, contextOf(five))).rejects.toMatchObject({
      code: 'calibration-labels',
    })
    await expect(prune(optimalBrainDamage, mlp.model, {}, contextOf())).rejects.toMatchObject({
      code: 'no-calibration-data',
    })
  })
})

describe('activation-correlation', () => {
  /** Correlations of fc1's outputs with its inputs, by their definition: [out, in]. */
  async function correlations(count: number): Promise<number[]> {
    const { inputs } = await patterns.batch(Array.from({ length: count }, (_, i) => i))
    const examples = Array.from({ length: count }, (_, i) => [...inputs.data.subarray(i * 8, (i + 1) * 8)])
    const weight = weightsOf(mlp.model, 'fc1.weight')
    const average = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
    const spread = (values: readonly number[]) => {
      const middle = average(values)
      return Math.sqrt(average(values.map((value) => (value - middle) ** 2)))
    }
    return Array.from({ length: 128 }, (_, place) => {
      const [a, b] = [Math.floor(place / 8), place % 8]
      const y = examples.map((example) => example.reduce((sum, value, k) => sum + weight[a * 8 + k] * value, 0))
      const x = examples.map((example) => example[b])
      const together = average(y.map((value, i) => value * x[i])) - average(y) * average(x)
      return together / (spread(y) * spread(x))
    })
  }

  it('keeps λ of either sign from its stronger half, row by row', async () => {
    const found = await correlations(56)
    const options = { sparsity: 0.5, samples: 56, order: 'ranked', include: ['fc1'] }
    const after = weightsOf(await prune(activationCorrelation, mlp.model, options, contextOf(patterns)), 'fc1.weight')
    // Half of what a sign has stays: 3/4 of it from the stronger half. A connection's turn comes when so much may stay.
    const turns = found.map((r, place) => {
      const row = found.slice(place - (place % 8), place - (place % 8) + 8)
      const alike = row.filter((other) => other * r > 0).toSorted((a, b) => Math.abs(b) - Math.abs(a))
      const half = Math.ceil(alike.length / 2)
      const at = alike.indexOf(r)
      const strong = at < half
      const i = strong ? at : at - half
      const other = strong ? alike.length - half : half
      return Math.min((i + 0.5) / ((strong ? 0.75 : 0.25) * alike.length), (i + 0.5 + other) / alike.length)
    })
    const gone = zeros(after)
    expect(gone).toHaveLength(64)
    const stays = turns.filter((_, place) => !gone.includes(place))
    expect(Math.max(...stays)).toBeLessThanOrEqual(Math.min(...gone.map((place) => turns[place])) + 1e-9)
  })

  it('with strong: 1 and ranked keeps the largest of either sign', async () => {
    const found = await correlations(56)
    const options = { sparsity: 0.5, samples: 56, order: 'ranked', strong: 1, include: ['fc1'] }
    const after = weightsOf(await prune(activationCorrelation, mlp.model, options, contextOf(patterns)), 'fc1.weight')
    for (let row = 0; row < 16; row++)
      for (const sign of [1, -1]) {
        const own = Array.from({ length: 8 }, (_, k) => row * 8 + k).filter((place) => found[place] * sign > 0)
        const size = (places: readonly number[]) => places.map((place) => Math.abs(found[place]))
        const [kept, gone] = [own.filter((place) => after[place] !== 0), own.filter((place) => after[place] === 0)]
        expect(Math.min(...size(kept), 2)).toBeGreaterThanOrEqual(Math.max(...size(gone), 0))
      }
  })

  it('draws the same for the same seed, and works on convolutions', async () => {
    const images = patternData({ size: 40, seed: 4, classes: 4, inputShape: [1, 8, 8] })
    const gone = async (seed: number) => {
      const result = await prune(activationCorrelation, cnn.model, { sparsity: 0.5 }, contextOf(images, seed))
      return zeros(weightsOf(result, 'conv2.weight'))
    }
    expect(await gone(1)).toHaveLength(144)
    expect(await gone(1)).toEqual(await gone(1))
    expect(await gone(2)).not.toEqual(await gone(1))
  })

  it('removes connections from inputs that never change first', async () => {
    const still: Dataset = {
      ...patterns,
      async batch(indices) {
        const { inputs, labels } = await patterns.batch(indices)
        return {
          inputs: createTensor(
            'float32',
            inputs.shape,
            inputs.data.map((v, i) => (i % 8 === 3 ? 5 : v)),
          ),
          labels,
        }
      },
    }
    const options = { sparsity: 1 / 8, include: ['fc1'] }
    const after = weightsOf(await prune(activationCorrelation, mlp.model, options, contextOf(still)), 'fc1.weight')
    expect(zeros(after)).toEqual(Array.from({ length: 16 }, (_, a) => a * 8 + 3))
  })

  it('refuses data of another shape', async () => {
    const other = patternData({ size: 40, seed: 4, classes: 4, inputShape: [3, 3] })
    await expect(prune(activationCorrelation, mlp.model, {}, contextOf(other))).rejects.toMatchObject({
      code: 'input-shape',
      place: 'x',
    })
  })
})
