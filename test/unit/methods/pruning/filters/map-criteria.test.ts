import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../../../src/engines/reference.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import type { Context, Method } from '../../../../../src/methods/method.ts'
import { activationDeviation } from '../../../../../src/methods/pruning/filters/activation-deviation.ts'
import { activationEntropy } from '../../../../../src/methods/pruning/filters/activation-entropy.ts'
import { activationMean } from '../../../../../src/methods/pruning/filters/activation-mean.ts'
import { apoz } from '../../../../../src/methods/pruning/filters/apoz.ts'
import { fireScore } from '../../../../../src/methods/pruning/filters/fire-score.ts'
import { geometricMedian } from '../../../../../src/methods/pruning/filters/geometric-median.ts'
import { randomFilters } from '../../../../../src/methods/pruning/filters/random-filters.ts'
import { taylorGates } from '../../../../../src/methods/pruning/filters/taylor-gates.ts'
import { taylor } from '../../../../../src/methods/pruning/filters/taylor.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { float32 } from '../../../../../src/tensor/tensor.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

const [mlp, cnn] = tinyModels()
const COUNT = 21
const FILTERS = 8
const CLASSES = 4
/** Places of the map of conv2. */
const PLACES = 4

const data = patternData({ size: COUNT + 5, seed: 3, classes: CLASSES, inputShape: cnn.inputShape })

function contextWith(train: Dataset = data, seed = 1): Context {
  return { seed, engine: onnxruntime, skip: () => {}, data: { train, validation: train } }
}

async function apply(method: Method, options: object, model: Model, context = contextWith()): Promise<Model> {
  return method.apply(model, method.options.parse({ retrain: false, ...options }), context)
}

const rows = (model: Model, weight: string) => {
  const tensor = model.graph.initializers.get(weight)!
  const values = toFloat32(tensor)
  const length = values.length / tensor.shape[0]
  return Array.from({ length: tensor.shape[0] }, (_, row) => values.subarray(row * length, (row + 1) * length).join())
}

/** Checks that of a layer the filters with the largest scores stay, for several numbers of those that stay. */
async function expectRanking(method: Method, layer: string, scores: readonly number[], options: object = {}) {
  expect(new Set(scores.map((score) => score.toPrecision(6))).size).toBeGreaterThan(5)
  const order = Array.from(scores.keys()).toSorted((a, b) => scores[a] - scores[b])
  const original = rows(cnn.model, `${layer}.weight`)
  for (const remove of [1, 3, 6]) {
    const result = await apply(method, { include: [layer], keep: original.length - remove, ...options }, cnn.model)
    const gone = new Set(order.slice(0, remove))
    expect(rows(result, `${layer}.weight`)).toEqual(original.filter((_, filter) => !gone.has(filter)))
  }
}

/** What the reference engine computes for a value on the examples. */
async function valueOf(model: Model, value: string, examples: Dataset = data): Promise<Float32Array> {
  const draft = createDraft(model)
  draft.outputs.splice(0)
  draft.output(value, 'float32')
  const { inputs } = await examples.batch(Array.from({ length: COUNT }, (_, i) => i))
  const session = await referenceEngine.createSession(draft.finish())
  return toFloat32((await session.run({ x: inputs }))[value])
}

const readerOfConv2 = cnn.model.graph.nodes.find(({ inputs }) => inputs[1] === 'conv2.weight')!.outputs[0]
const conv2Map = cnn.model.graph.nodes.find(({ inputs }) => inputs[0] === readerOfConv2)!.outputs[0]

/** The values of filter k in example n, [places]. */
async function mapsOfConv2(): Promise<number[][][]> {
  const values = await valueOf(cnn.model, conv2Map)
  expect(values).toHaveLength(COUNT * FILTERS * PLACES)
  return Array.from({ length: FILTERS }, (_, k) =>
    Array.from({ length: COUNT }, (_unused, n) => [
      ...values.subarray((n * FILTERS + k) * PLACES, (n * FILTERS + k + 1) * PLACES),
    ]),
  )
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const variance = (values: readonly number[]) => mean(values.map((value) => (value - mean(values)) ** 2))

/** Σ_m ∂C/∂z_m z_m of filter k in example n by central differences of the example's loss. */
async function termsOfConv2(): Promise<number[][]> {
  const values = await valueOf(cnn.model, conv2Map)
  const draft = createDraft(cnn.model)
  draft.inputs.splice(0)
  draft.input('map', 'float32', [COUNT, FILTERS, 2, 2])
  for (const [i, node] of draft.nodes.entries())
    draft.nodes[i] = { ...node, inputs: node.inputs.map((name) => (name === conv2Map ? 'map' : name)) }
  const session = await referenceEngine.createSession(draft.finish())
  const { labels } = await data.batch(Array.from({ length: COUNT }, (_, i) => i))
  const losses = async (map: Float32Array) => {
    const logits = toFloat32(Object.values(await session.run({ map: float32(map, [COUNT, FILTERS, 2, 2]) }))[0])
    return Array.from(labels, (label, n) => {
      const own = [...logits.subarray(n * CLASSES, (n + 1) * CLASSES)]
      return Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0)) - own[label]
    })
  }
  const terms = Array.from({ length: FILTERS }, () => Array.from({ length: COUNT }, () => 0))
  const step = 0.02
  for (let k = 0; k < FILTERS; k++)
    for (let place = 0; place < PLACES; place++) {
      const shifted = (by: number) =>
        values.map((value, i) => (Math.floor(i / PLACES) % FILTERS === k && i % PLACES === place ? value + by : value))
      const [up, down] = [await losses(shifted(step)), await losses(shifted(-step))]
      for (let n = 0; n < COUNT; n++)
        terms[k][n] += ((up[n] - down[n]) / (2 * step)) * values[(n * FILTERS + k) * PLACES + place]
    }
  return terms
}

describe('a criterion that looks at feature maps ranks filters as its formula does', () => {
  const samples = COUNT

  it('APoZ: by the share of zeros behind the ReLU', async () => {
    const maps = await mapsOfConv2()
    const zeros = maps.map((own) => mean(own.flat().map((value) => (value === 0 ? 1 : 0))))
    await expectRanking(
      apoz,
      'conv2',
      zeros.map((share) => 1 - share),
      { samples },
    )
  })

  it('APoZ where there is no activation: by the share of what a ReLU would make zero', async () => {
    const nodes = mlp.model.graph.nodes.map((node) => (node.op === 'Relu' ? { ...node, op: 'Identity' } : node))
    const linear = { ...mlp.model, graph: { ...mlp.model.graph, nodes } }
    const train = patternData({ size: COUNT, seed: 4, classes: CLASSES, inputShape: mlp.inputShape })
    const value = nodes.find(({ op }) => op === 'Identity')!.outputs[0]
    const values = await valueOf(linear, value, train)
    const positive = Array.from({ length: 16 }, (_, k) => values.filter((v, i) => i % 16 === k && v > 0).length)
    const result = await apply(apoz, { keep: 5 }, linear, contextWith(train))
    const order = Array.from(positive.keys()).toSorted((a, b) => positive[a] - positive[b])
    const gone = new Set(order.slice(0, 11))
    const original = rows(linear, 'fc1.weight')
    expect(rows(result, 'fc1.weight')).toEqual(original.filter((_, k) => !gone.has(k)))
  })

  it('mean activation', async () => {
    const scores = (await mapsOfConv2()).map((own) => mean(own.flat()))
    await expectRanking(activationMean, 'conv2', scores, { samples })
  })

  it('deviation of the activation', async () => {
    const scores = (await mapsOfConv2()).map((own) => variance(own.flat()))
    await expectRanking(activationDeviation, 'conv2', scores, { samples })
  })

  it('entropy of the pooled activation, in bins between its extremes', async () => {
    const bins = 7
    const scores = (await mapsOfConv2()).map((own) => {
      const pooled = own.map(mean)
      const [least, most] = [Math.min(...pooled), Math.max(...pooled)]
      const counts = Array.from({ length: bins }, () => 0)
      for (const value of pooled) counts[Math.min(bins - 1, Math.floor(((value - least) / (most - least)) * bins))]++
      return counts.reduce((sum, n) => (n > 0 ? sum - (n / COUNT) * Math.log(n / COUNT) : sum), 0)
    })
    await expectRanking(activationEntropy, 'conv2', scores, { samples, bins })
  })

  it('fire score: by the share of the variance of the maxima that lies between the classes', async () => {
    const { labels } = await data.batch(Array.from({ length: COUNT }, (_, i) => i))
    const scores = (await mapsOfConv2()).map((own) => {
      const fires = own.map((map) => Math.max(...map))
      const within = [0, 1, 2, 3].map((label) => fires.filter((_, n) => labels[n] === label))
      const sum = within.reduce((total, fire) => total + (fire.length > 0 ? fire.length * variance(fire) : 0), 0)
      return 1 - sum / (COUNT * variance(fires))
    })
    await expectRanking(fireScore, 'conv2', scores, { samples })
  })

  it('Taylor: by the mean absolute product of map and gradient; in the form of gates by its mean square', async () => {
    const terms = await termsOfConv2()
    const absolute = terms.map((own) => mean(own.map(Math.abs)))
    await expectRanking(taylor, 'conv2', absolute, { samples })
    const squares = terms.map((own) => mean(own.map((term) => term ** 2)))
    await expectRanking(taylorGates, 'conv2', squares, { samples })
  })
})

describe('other criteria', () => {
  it('Taylor takes with macsWeight the filters that cost most first, from all layers', async () => {
    const sizes = async (macsWeight: number) => {
      const result = await apply(taylor, { scope: 'global', ratio: 0.25, macsWeight }, cnn.model)
      return ['conv1', 'conv2'].map((name) => result.graph.initializers.get(`${name}.weight`)!.shape[0])
    }
    // A filter of conv1 costs 64 · 9 multiply-accumulates, one of conv2 4 · 36.
    expect(await sizes(1e6)).toEqual([1, 8])
    expect((await sizes(0))[0]).toBeGreaterThan(1)
  })

  it('the geometric median: by the sum of distances to the other filters', async () => {
    const weights = rows(cnn.model, 'conv2.weight').map((row) => row.split(',').map(Number))
    const scores = weights.map((one) =>
      weights.reduce((sum, other) => sum + Math.hypot(...one.map((value, i) => value - other[i])), 0),
    )
    await expectRanking(geometricMedian, 'conv2', scores)
  })

  it('the geometric median of filters along the last axis', async () => {
    // As [in, out] of a MatMul: the middle one of three columns goes.
    const weight = float32([0, 1, 9, 0, 1, 9], [2, 3])
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 2])
    const hidden = draft.add('MatMul', [x, draft.constant('w', weight)], {}, { name: 'first' })
    const last = draft.constant('v', float32([1, 2, 3, 4, 5, 6], [3, 2]))
    draft.output(draft.add('MatMul', [hidden, last], {}, { name: 'second' }), 'float32')
    const model = draft.finish()
    const result = await apply(geometricMedian, { keep: 2 }, model)
    expect([...toFloat32(result.graph.initializers.get('w')!)]).toEqual([0, 9, 0, 9])
  })

  it('chance follows the seed, and nothing else', async () => {
    const kept = async (seed: number) =>
      rows(await apply(randomFilters, { include: ['conv2'] }, cnn.model, contextWith(data, seed)), 'conv2.weight')
    expect(await kept(1)).toEqual(await kept(1))
    const all = await Promise.all(Array.from({ length: 16 }, (_, seed) => kept(seed)))
    for (const row of rows(cnn.model, 'conv2.weight')) {
      const times = all.filter((some) => some.includes(row)).length
      expect(times).toBeGreaterThan(2)
      expect(times).toBeLessThan(14)
    }
  })
})

describe('bad input of criteria', () => {
  const changed = (labelOf: (label: number) => number): Dataset => ({
    ...data,
    async batch(indices) {
      const batch = await data.batch(indices)
      return { ...batch, labels: batch.labels.map(labelOf) }
    },
  })

  it('is labels that are missing, or all the same', async () => {
    const unlabelled = contextWith(changed(() => -1))
    for (const method of [taylor, taylorGates, fireScore])
      await expect(apply(method, {}, cnn.model, unlabelled)).rejects.toMatchObject({
        code: 'calibration-labels',
        place: data.name,
      })
    const same = contextWith(changed(() => 2))
    await expect(apply(fireScore, {}, cnn.model, same)).rejects.toMatchObject({ code: 'one-class', place: 'conv1' })
    await expect(apply(apoz, {}, cnn.model, unlabelled)).resolves.toBeDefined()
  })

  it('is data of another shape', async () => {
    const wide = patternData({ size: 8, seed: 1, classes: CLASSES, inputShape: [1, 9, 9] })
    await expect(apply(apoz, {}, cnn.model, contextWith(wide))).rejects.toMatchObject({
      code: 'input-shape',
      place: 'x',
      hint: expect.stringContaining('data'),
    })
  })
})
