import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../src/datasets/dataset.ts'
import { onnxruntime as engine } from '../../../src/engines/onnxruntime.ts'
import { createDraft, type Draft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { float32, identical } from '../../../src/tensor/tensor.ts'
import type { CheckpointStore } from '../../../src/training/checkpoint.ts'
import type { Constraint, Memory } from '../../../src/training/extensions.ts'
import { trainingSettings } from '../../../src/training/settings.ts'
import { train, type TrainOptions } from '../../../src/training/train.ts'
import { patternData } from '../../support/small-data.ts'

/** y = x · (W ∘ mask), without bias; with a further initializer that only rules read. */
function maskedProduct(inputs: number, classes: number, weight: readonly number[]): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N', inputs])
  const w = draft.constant('w', float32(weight, [inputs, classes]))
  const mask = draft.constant(
    'mask',
    float32(
      weight.map(() => 1),
      [inputs, classes],
    ),
  )
  draft.output(draft.add('MatMul', [x, draft.add('espalier.MaskedWeight', [w, mask])]), 'float32', ['N', classes])
  return draft.finish()
}

const number = (draft: Draft, value: number) => draft.constant('value', float32([value], []))

/** Keeps what has at least `least` as absolute value. */
const following = (least: number): Memory => ({
  name: 'mask',
  next: (draft, { parameters }) => {
    const size = draft.add('Abs', [parameters.get('w')!])
    return draft.add('Cast', [draft.add('GreaterOrEqual', [size, number(draft, least)])], { to: 1 })
  },
})

function store(): CheckpointStore & { bytes?: Uint8Array; left: number } {
  return {
    left: Number.POSITIVE_INFINITY,
    async read() {
      return this.bytes
    },
    async write(bytes) {
      if (this.left-- <= 0) throw new Error('killed')
      this.bytes = bytes
    },
  }
}

const shape = [1, 4, 4]
const data = patternData({ size: 90, seed: 1, classes: 4, inputShape: shape })
const flat: Dataset = { ...data, inputShape: [16] }

function run(model: Model, settings: object, options: Partial<TrainOptions>) {
  return train(model, { data: flat, settings: trainingSettings.parse(settings), engine, seed: 3, ...options })
}

const values = (model: Model, name: string) => [...(model.graph.initializers.get(name)!.data as Float32Array)]

describe('extensions of a training step', () => {
  // One example x = (1, 2) of class 0. W = ((0.5, 0.1), (-0.2, 0.4)), so the logits are (0.1, 0.9).
  const one: Dataset = {
    ...flat,
    size: 1,
    classes: 2,
    inputShape: [2],
    batch: async () => ({ inputs: float32([1, 2], [1, 2]), labels: Int32Array.of(0) }),
  }
  const weight = [0.5, 0.1, -0.2, 0.4]
  const p = 1 / (1 + Math.exp(-0.8))
  // dL/dz = softmax - target = (1 - p - 1, p), dL/dW = xᵀ dL/dz.
  const gradient = [-p, p, -2 * p, 2 * p]
  const settings = { epochs: 1, learningRate: 0.5, momentum: 0, batchSize: 1 }

  it('a constraint sees rate and number of the update, and a memory the parameters behind it', async () => {
    const constraint: Constraint = (draft, _, value, { learningRate, step }) =>
      draft.add('Sub', [value, draft.add('Mul', [learningRate, step])])
    const { model } = await run(maskedProduct(2, 2, weight), settings, {
      data: one,
      constraint,
      memory: [following(0.5)],
    })
    const expected = weight.map((w, i) => w - 0.5 * gradient[i] - 0.5 * 1)
    values(model, 'w').forEach((value, i) => expect(value).toBeCloseTo(expected[i], 6))
    expect(values(model, 'mask')).toEqual(expected.map((value) => (Math.abs(value) >= 0.5 ? 1 : 0)))
    expect(new Set(values(model, 'mask')).size).toBe(2)
  })

  it('a memory acts on the next step, in which masked weights still learn', async () => {
    const { model } = await run(
      maskedProduct(2, 2, weight),
      { ...settings, epochs: 2 },
      {
        data: one,
        memory: [following(0.27)],
      },
    )
    const first = weight.map((w, i) => w - 0.5 * gradient[i])
    const kept = first.map((value) => (Math.abs(value) >= 0.27 ? value : 0))
    expect(kept.filter((value) => value === 0)).toHaveLength(1)
    const gap = kept[1] + 2 * kept[3] - kept[0] - 2 * kept[2]
    const q = 1 / (1 + Math.exp(-gap))
    const second = first.map((value, i) => value - 0.5 * [-q, q, -2 * q, 2 * q][i])
    values(model, 'w').forEach((value, i) => expect(value).toBeCloseTo(second[i], 5))
  })

  it('a memory that the model does not read counts steps, one by one or in a loop', async () => {
    const start = maskedProduct(
      16,
      4,
      Array.from({ length: 64 }, (_, i) => ((i * 7) % 13) / 20 - 0.3),
    )
    const initializers = new Map(start.graph.initializers).set('count', float32([10], []))
    const model: Model = { ...start, graph: { ...start.graph, initializers } }
    const counting: Memory = {
      name: 'count',
      next: (draft, { step }) => draft.add('Add', ['count', draft.add('Div', [step, step])]),
    }
    for (const stepsPerRun of [1, 4]) {
      const { model: trained, steps } = await run(
        model,
        { epochs: 2, batchSize: 16 },
        { memory: [counting], stepsPerRun },
      )
      expect(steps).toBe(12)
      expect(values(trained, 'count')).toEqual([22])
    }
  })

  it('goes on after a kill with the memory that it had', async () => {
    const model = maskedProduct(
      16,
      4,
      Array.from({ length: 64 }, (_, i) => ((i * 7) % 13) / 20 - 0.3),
    )
    const settings = { epochs: 2, batchSize: 16, learningRate: 0.1, optimizer: 'sgd' }
    const options = { memory: [following(0.15)], stepsPerRun: 1, validation: flat }
    const whole = await run(model, settings, options)
    expect(new Set(values(whole.model, 'mask')).size).toBe(2)
    for (const left of [1, 5, 9]) {
      const kept = store()
      const checkpoint = { store: kept, everySeconds: 0 }
      kept.left = left
      await expect(run(model, settings, { ...options, checkpoint })).rejects.toThrow('killed')
      kept.left = Number.POSITIVE_INFINITY
      const resumed = await run(model, settings, { ...options, checkpoint })
      expect(resumed.history).toEqual(whole.history)
      for (const name of ['w', 'mask'])
        expect(identical(resumed.model.graph.initializers.get(name)!, whole.model.graph.initializers.get(name)!)).toBe(
          true,
        )
      await expect(run(model, settings, { ...options, memory: [], checkpoint })).rejects.toThrow(/another run/)
    }
  })

  it('says which memory does not fit', async () => {
    const model = maskedProduct(
      16,
      4,
      Array.from({ length: 64 }, () => 0.1),
    )
    const named = (name: string): Memory => ({ name, next: () => name })
    await expect(run(model, {}, { memory: [named('msk')] })).rejects.toMatchObject({
      code: 'unknown-parameter',
      hint: "Did you mean 'mask'?",
    })
    await expect(run(model, {}, { memory: [named('w')], parameters: ['w'] })).rejects.toMatchObject({
      code: 'trained-memory',
      place: 'w',
    })
  })
})
