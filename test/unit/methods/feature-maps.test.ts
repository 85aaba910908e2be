import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { layers } from '../../../src/ir/rewrite.ts'
import { rebatch } from '../../../src/ir/shapes.ts'
import { featureMaps, measureFeatureMaps, type FeatureMapOptions } from '../../../src/methods/feature-maps.ts'
import type { Context } from '../../../src/methods/method.ts'
import { toFloat32 } from '../../../src/tensor/half.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { createTensor, elementCount, float32 } from '../../../src/tensor/tensor.ts'
import { patternData } from '../../support/small-data.ts'
import { tinyModels } from '../../support/tiny-models.ts'

const [mlp, cnn, residual] = tinyModels()

function contextWith(data: Dataset, further: Partial<Context> = {}): Context {
  return { seed: 1, engine: referenceEngine, skip: () => {}, data: { train: data, validation: data }, ...further }
}

const mean: FeatureMapOptions['reduce'] = ({ draft, map, places }) => [
  draft.add('ReduceMean', [map, places], { keepdims: 0 }),
]

const mapsOf = (model: Model) => featureMaps(rebatch(model, 8), layers(model))
const valuesOf = (model: Model) => Object.fromEntries(mapsOf(model).map(({ layer, value }) => [layer.name, value]))
const madeBy = (model: Model, value: string) => model.graph.nodes.find(({ outputs }) => outputs.includes(value))?.op

/** A convolution and what is built behind it by `rest`, on inputs [8, 2, 6, 6]. */
function behindConv(rest: (draft: ReturnType<typeof createDraft>, conv: string) => string): Model {
  const draft = createDraft()
  const random = createRandom(4)
  const x = draft.input('x', 'float32', [8, 2, 6, 6])
  const weight = float32(
    Float32Array.from({ length: 27 * 2 }, () => random.normal()),
    [3, 2, 3, 3],
  )
  const conv = draft.add('Conv', [x, draft.constant('w', weight)], {}, { name: 'conv' })
  draft.output(rest(draft, conv), 'float32')
  return draft.finish()
}

describe('the feature maps of layers', () => {
  it('are read behind batch normalization and the activation, where there is one', () => {
    const inMlp = valuesOf(mlp.model)
    expect(madeBy(mlp.model, inMlp.fc1)).toBe('Relu')
    expect(madeBy(mlp.model, inMlp.fc2)).toBe('Gemm')
    const inResidual = valuesOf(residual.model)
    expect(madeBy(residual.model, inResidual.stem)).toBe('Relu')
    expect(madeBy(residual.model, inResidual.branch)).toBe('Conv')
  })

  it('go through pooling only to an activation, and not past a second reader', () => {
    const pool = { kernel_shape: [2, 2], strides: [2, 2] }
    const pooledFirst = behindConv((draft, conv) => draft.add('Relu', [draft.add('MaxPool', [conv], pool)]))
    expect(madeBy(pooledFirst, valuesOf(pooledFirst).conv)).toBe('Relu')
    const linear = behindConv((draft, conv) => draft.add('Flatten', [draft.add('MaxPool', [conv], pool)]))
    expect(madeBy(linear, valuesOf(linear).conv)).toBe('Conv')
    const forked = behindConv((draft, conv) => draft.add('Mul', [conv, draft.add('Sigmoid', [conv])]))
    expect(madeBy(forked, valuesOf(forked).conv)).toBe('Conv')
  })

  it('of layers whose output has no known shape are refused by name', () => {
    const model = behindConv((draft, conv) => draft.add('Relu', [conv]))
    const open = { ...model, graph: { ...model.graph, inputs: [{ name: 'x', type: { dtype: 'float32' as const } }] } }
    expect(() => featureMaps(open, layers(open))).toThrow(
      expect.objectContaining({ code: 'no-feature-map', place: 'conv', hint: expect.stringContaining('Exclude') }),
    )
  })
})

describe('statistics of feature maps', () => {
  it('have one row an example, in order, also where the last batch is not full', async () => {
    const data = patternData({ size: 20, seed: 3, classes: 4, inputShape: cnn.inputShape })
    const found = await measureFeatureMaps(
      cnn.model,
      layers(cnn.model),
      { samples: 13, reduce: mean },
      contextWith(data),
    )
    expect([...found.keys()]).toEqual(['conv1', 'conv2', 'fc'])
    const { count, channels, statistics, labels } = found.get('conv1')!
    const { inputs, labels: expectedLabels } = await data.batch(Array.from({ length: 13 }, (_, i) => i))
    expect([count, channels]).toEqual([13, 4])
    expect(labels).toEqual(expectedLabels)

    const draft = createDraft(cnn.model)
    draft.outputs.splice(0)
    draft.output(mapsOf(cnn.model)[0].value, 'float32')
    const session = await referenceEngine.createSession(draft.finish())
    const map = toFloat32(Object.values(await session.run({ x: inputs }))[0])
    const places = map.length / 13 / 4
    for (let row = 0; row < 13 * 4; row++) {
      const own = map.subarray(row * places, (row + 1) * places)
      expect(statistics[0][row]).toBeCloseTo(own.reduce((sum, value) => sum + value, 0) / places, 5)
    }
  })

  it('have gradients of each example alone: central differences of its own loss', async () => {
    const data = patternData({ size: 3, seed: 5, classes: 4, inputShape: cnn.inputShape })
    const perPlace: FeatureMapOptions['reduce'] = ({ draft, gradient, places }) => [
      draft.add('ReduceSum', [gradient, places], { keepdims: 0 }),
    ]
    const all = layers(cnn.model)
    const found = await measureFeatureMaps(
      cnn.model,
      all,
      { samples: 3, gradients: true, reduce: perPlace },
      contextWith(data),
    )
    const { inputs, labels } = await data.batch([0, 1, 2])
    // The sum of the derivatives over the places is that by a shift of the whole map of one example and channel.
    const lossAt = async (value: string, example: number, channel: number, shift: number) => {
      const draft = createDraft(cnn.model)
      const shape = value === 'fc' ? [3, 4] : [3, 8, 1, 1]
      const offsets = new Float32Array(elementCount(shape))
      offsets[example * shape[1] + channel] = shift
      const map = mapsOf(cnn.model).find(({ layer }) => layer.name === value)!.value
      const reader = draft.nodes.findIndex(({ inputs: read }) => read.includes(map))
      const added = draft.add('Add', [map, draft.constant('shift', createTensor('float32', shape, offsets))])
      if (reader >= 0) {
        const node = draft.nodes[reader]
        draft.nodes[reader] = { ...node, inputs: node.inputs.map((name) => (name === map ? added : name)) }
      } else {
        draft.outputs.splice(0)
        draft.output(added, 'float32')
      }
      const session = await referenceEngine.createSession(draft.finish())
      const logits = toFloat32(Object.values(await session.run({ x: inputs }))[0]).subarray(
        example * 4,
        example * 4 + 4,
      )
      const log = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0))
      return log - logits[labels[example]]
    }
    for (const [name, channels] of [
      ['conv2', 8],
      ['fc', 4],
    ] as const)
      for (let example = 0; example < 3; example++)
        for (let channel = 0; channel < channels; channel += 3) {
          const step = 1e-2
          const up = await lossAt(name, example, channel, step)
          const down = await lossAt(name, example, channel, -step)
          const expected = (up - down) / (2 * step)
          expect(found.get(name)!.statistics[0][example * channels + channel]).toBeCloseTo(expected, 3)
        }
  })

  it('need data that fits, and labels where they are asked for', async () => {
    const data = patternData({ size: 8, seed: 1, classes: 4, inputShape: cnn.inputShape })
    const measure = (context: Context, options: Partial<FeatureMapOptions> = {}) =>
      measureFeatureMaps(cnn.model, layers(cnn.model), { samples: 8, reduce: mean, ...options }, context)
    await expect(measure({ seed: 1, engine: referenceEngine, skip: () => {} })).rejects.toMatchObject({
      code: 'no-calibration-data',
    })
    await expect(measure(contextWith({ ...data, size: 0 }))).rejects.toMatchObject({
      code: 'no-calibration-data',
      message: expect.stringContaining('there are only others') as string,
    })
    const wide = patternData({ size: 8, seed: 1, classes: 4, inputShape: [1, 9, 9] })
    await expect(measure(contextWith(wide))).rejects.toMatchObject({ code: 'input-shape', place: 'x' })
    const unlabelled: Dataset = {
      ...data,
      batch: async (indices) => ({ ...(await data.batch(indices)), labels: new Int32Array(indices.length).fill(-1) }),
    }
    await expect(measure(contextWith(unlabelled))).resolves.toBeDefined()
    for (const options of [{ labels: true }, { gradients: true }])
      await expect(measure(contextWith(unlabelled), options)).rejects.toMatchObject({
        code: 'calibration-labels',
        hint: expect.stringContaining('criterion'),
      })
  })

  it('are the same from both engines, tell how far they are, and stop when they are told to', async () => {
    const data = patternData({ size: 24, seed: 1, classes: 4, inputShape: residual.inputShape })
    const done: number[] = []
    const measure = (further: Partial<Context>) =>
      measureFeatureMaps(
        residual.model,
        layers(residual.model),
        { samples: 24, reduce: mean },
        contextWith(data, further),
      )
    const slow = await measure({ progress: (event) => done.push(event.done / event.total) })
    expect(done).toEqual([0, 1 / 3, 2 / 3, 1])
    const fast = await measure({ engine: onnxruntime })
    for (const [name, { statistics }] of slow)
      for (const [i, value] of statistics[0].entries()) expect(fast.get(name)!.statistics[0][i]).toBeCloseTo(value, 4)
    const stop = new AbortController()
    const late = measure({ signal: stop.signal, progress: () => stop.abort(new Error('enough')) })
    await expect(late).rejects.toThrow('enough')
  })
})
