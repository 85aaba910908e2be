import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import type { Model } from '../../../src/ir/model.ts'
import { forEachGradient, weightGradients } from '../../../src/methods/weight-gradients.ts'
import { toFloat32 } from '../../../src/tensor/half.ts'
import { float32 } from '../../../src/tensor/tensor.ts'
import { createPredictor } from '../../../src/training/predictor.ts'
import { patternData } from '../../support/small-data.ts'
import { tinyModels, type TinyModel } from '../../support/tiny-models.ts'

const context = { engine: onnxruntime, seed: 3 }

function withElement(model: Model, name: string, place: number, change: number): Model {
  const tensor = model.graph.initializers.get(name)!
  const values = toFloat32(tensor).slice()
  values[place] += change
  const initializers = new Map(model.graph.initializers).set(name, float32(values, tensor.shape))
  return { ...model, graph: { ...model.graph, initializers } }
}

/** The mean cross entropy over the first examples, and the probabilities of each, by their definition. */
async function crossEntropy(model: Model, data: Dataset, samples: number) {
  const { inputs, labels } = await data.batch(Array.from({ length: samples }, (_, i) => i))
  const predictor = await createPredictor(model, data.inputShape, onnxruntime)
  const { data: logits, shape } = await predictor.predict(inputs)
  await predictor.close()
  const probabilities = Array.from({ length: samples }, (_, i) => {
    const powers = [...logits.subarray(i * shape[1], (i + 1) * shape[1])].map(Math.exp)
    const sum = powers.reduce((a, b) => a + b, 0)
    return powers.map((power) => power / sum)
  })
  const loss = probabilities.reduce((sum, p, i) => sum - Math.log(p[labels[i]]), 0) / samples
  return { loss, probabilities }
}

const dataFor = ({ inputShape, classes }: TinyModel, size = 6) => patternData({ size, seed: 4, classes, inputShape })
const trainable = tinyModels().filter((tiny) => tiny.trainable)

describe('the gradients of weights', () => {
  it.each(trainable)('are those of central differences: $name', async (tiny) => {
    const data = dataFor(tiny)
    const names = [...tiny.model.graph.initializers.keys()].filter((name) => name.endsWith('weight'))
    const moments = await weightGradients(tiny.model, names, data, { samples: 6, labels: 'true' }, context)
    expect([...moments.keys()]).toEqual(names)
    for (const name of names)
      for (const place of [0, 7]) {
        const [up, down] = await Promise.all(
          [0.001, -0.001].map((step) => crossEntropy(withElement(tiny.model, name, place, step), data, 6)),
        )
        expect(moments.get(name)!.mean[place]).toBeCloseTo((up.loss - down.loss) / 0.002, 2)
      }
  })

  it('come one example at a time, and their squares are averaged after squaring', async () => {
    const [mlp] = trainable
    const data = dataFor(mlp)
    const seen: number[] = []
    await forEachGradient(mlp.model, ['fc1.weight'], data, { samples: 4, labels: 'true' }, context, (gradients) => {
      seen.push(gradients.get('fc1.weight')![5])
    })
    const moments = await weightGradients(mlp.model, ['fc1.weight'], data, { samples: 4, labels: 'true' }, context)
    expect(seen).toHaveLength(4)
    const { mean, square } = moments.get('fc1.weight')!
    expect(mean[5]).toBeCloseTo(seen.reduce((sum, g) => sum + g, 0) / 4, 6)
    expect(square[5]).toBeCloseTo(seen.reduce((sum, g) => sum + g * g, 0) / 4, 6)
  })

  it('with drawn labels give the diagonal of the Fisher information', async () => {
    // Of the last layer, row k, input j: E[p_k (1 - p_k) h_j²], here for the bias, whose input is 1.
    const [mlp] = trainable
    const one = dataFor(mlp, 1)
    const many: Dataset = { ...one, size: 4000, batch: (indices) => one.batch(Array.from(indices, () => 0)) }
    const { probabilities } = await crossEntropy(mlp.model, one, 1)
    const options = { samples: 4000, labels: 'drawn' } as const
    const { mean, square } = (await weightGradients(mlp.model, ['fc2.bias'], many, options, context)).get('fc2.bias')!
    for (const [k, p] of probabilities[0].entries()) {
      expect(Math.abs(square[k] - p * (1 - p))).toBeLessThan(0.03)
      expect(Math.abs(mean[k])).toBeLessThan(0.03)
    }
  })

  it('refuse labels that the model does not know, and data of another shape', async () => {
    const [mlp] = trainable
    const options = { samples: 20, labels: 'true' } as const
    const attempt = (data: Dataset) => weightGradients(mlp.model, ['fc1.weight'], data, options, context)
    await expect(attempt(patternData({ size: 20, seed: 1, classes: 9, inputShape: [8] }))).rejects.toMatchObject({
      code: 'calibration-labels',
      place: 'patterns 1',
      hint: expect.stringContaining('labels'),
    })
    await expect(attempt(patternData({ size: 20, seed: 1, classes: 4, inputShape: [9] }))).rejects.toMatchObject({
      code: 'input-shape',
      place: 'x',
    })
  })
})
