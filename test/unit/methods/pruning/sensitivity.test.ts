import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { channelGroups } from '../../../../src/ir/channel-groups.ts'
import { cutChannels } from '../../../../src/ir/cut.ts'
import type { Context, Sensitivity } from '../../../../src/methods/method.ts'
import { filterL1 } from '../../../../src/methods/pruning/filters/filter-l1.ts'
import { magnitude } from '../../../../src/methods/pruning/weights/magnitude.ts'
import { optimalBrainCompression } from '../../../../src/methods/pruning/weights/optimal-brain-compression.ts'
import { randomMasks } from '../../../../src/methods/pruning/filters/random-masks.ts'
import { measureShares } from '../../../../src/methods/pruning/sensitivity.ts'
import { toFloat32 } from '../../../../src/tensor/half.ts'
import { float32 } from '../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../src/training/evaluate.ts'
import { patternData } from '../../../support/small-data.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

const [, cnn, residual] = tinyModels()

function contextFor({ classes, inputShape }: typeof cnn, found: Sensitivity[] = [], skipped: string[] = []): Context {
  const facts = { classes, inputShape }
  const data = {
    train: patternData({ size: 8, seed: 1, ...facts }),
    validation: patternData({ size: 80, seed: 2, ...facts }),
  }
  return {
    seed: 1,
    engine: onnxruntime,
    data,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    sensitivity: (each) => found.push(each),
  }
}

describe('measureShares', () => {
  const layer = (name: string, accuracies: readonly number[]) => ({
    name,
    size: 10,
    counts: accuracies.map((_, i) => i + 1),
    without: async (count: number) => ({ accuracy: accuracies[count - 1], loss: count }),
  })
  const facts = { parts: 'filters' as const, data: 'made up', count: 100, whole: { accuracy: 0.9, loss: 0.5 } }

  it('chooses for each layer the largest share tried that loses no more', async () => {
    const layers = [layer('a', [0.9, 0.85, 0.89, 0.7]), layer('b', [0.95, 0.91, 0.9, 0.88]), layer('c', [0.5, 0.4])]
    const { curves, ...rest } = await measureShares(layers, { ...facts, maxLoss: 1 }, {})
    expect(curves.map(({ chosen }) => chosen)).toEqual([0.3, 0.3, 0])
    expect(rest).toEqual({ unit: 'ratio', parts: 'filters', data: 'made up', count: 100, accuracy: 0.9, maxLoss: 1 })
    expect(curves[2]).toMatchObject({
      layer: 'c',
      size: 10,
      points: [
        { at: 0, accuracy: 0.9, loss: 0.5 },
        { at: 0.1, accuracy: 0.5, loss: 1 },
        { at: 0.2, accuracy: 0.4, loss: 2 },
      ],
    })
  })

  it('chooses nothing where nothing was asked for, and tells how far it is', async () => {
    const seen: string[] = []
    const progress = ({ done, total, detail }: { done: number; total: number; detail?: object }) =>
      seen.push(`${done}/${total} ${JSON.stringify(detail)}`)
    const { curves } = await measureShares([layer('a', [0.9, 0.9])], facts, { progress })
    expect(curves[0]).not.toHaveProperty('chosen')
    expect(seen).toEqual(['1/2 {"layer":"a"}', '2/2 {"layer":"a"}'])
  })
})

describe('the sensitivity of filters', () => {
  it('is the accuracy of the model cut at one layer alone', async () => {
    const context = contextFor(cnn)
    const found = await filterL1.sensitivity!(cnn.model, filterL1.options.parse({ maxLossSamples: 80 }), context)
    const { validation } = context.data!
    expect(found).toMatchObject({ unit: 'ratio', parts: 'filters', data: validation.name, count: 80 })
    expect(found.accuracy).toBe((await evaluate(cnn.model, validation, onnxruntime)).accuracy)
    expect(found.curves.map(({ layer }) => layer)).toEqual(['conv1', 'conv2'])
    for (const { layer, size, points } of found.curves) {
      const group = channelGroups(cnn.model).find(({ id }) => id === layer)!
      const weight = toFloat32(cnn.model.graph.initializers.get(`${layer}.weight`)!)
      const row = weight.length / size
      const norms = Array.from({ length: size }, (_, j) =>
        weight.slice(j * row, (j + 1) * row).reduce((sum, value) => sum + Math.abs(value), 0),
      )
      const order = [...norms.keys()].sort((a, b) => norms[a] - norms[b])
      expect(points[0].at).toBe(0)
      for (const { at: ratio, accuracy } of points) {
        const cut = cutChannels(cnn.model, new Map([[group.id, order.slice(0, Math.round(ratio * size))]]))
        expect(accuracy).toBe((await evaluate(cut, validation, onnxruntime)).accuracy)
      }
    }
    // Nine shares of four filters are three different numbers.
    expect(found.curves[0].points.map(({ at }) => at)).toEqual([0, 0.25, 0.5, 0.75])
  })

  it('chooses how much each layer gives up, which strength turns and single layers may override', async () => {
    const found: Sensitivity[] = []
    const skipped: string[] = []
    const context = contextFor(residual, found, skipped)
    const apply = async (options: object) => {
      const parsed = filterL1.options.parse({ retrain: false, maxLossSamples: 80, ...options })
      const result = await filterL1.apply(residual.model, parsed, context)
      return result.graph.initializers.get('stem.weight')!.shape[0]
    }
    const most = await apply({ maxLoss: 100 })
    expect(most).toBe(1)
    expect(found[0]).toMatchObject({ maxLoss: 100, curves: [{ layer: 'stem', chosen: 5 / 6 }] })
    const some = await apply({ maxLoss: 20 })
    expect(some).toBe(6 - Math.round(found[1].curves[0].chosen! * 6))
    expect(await apply({ maxLoss: 100, strength: 0 })).toBe(6)
    expect(await apply({ maxLoss: 100, layers: { branch: { ratio: 0.5 } } })).toBe(3)
    expect(skipped.filter((line) => line.includes('loses more'))).toEqual([])
  })

  it('says of a layer that can give up nothing that it was left alone, and why', async () => {
    const skipped: string[] = []
    const sizes = { inputShape: cnn.inputShape, classes: cnn.classes }
    const context = contextFor(cnn, [], skipped)
    const labels = patternData({ size: 40, seed: 3, ...sizes })
    // Labels that are the model's own answers: every cut can only lose.
    const { hits: _hits, ...whole } = await evaluate(cnn.model, labels, onnxruntime)
    expect(whole.accuracy).toBeLessThan(1)
    const answers = await answersOf(labels)
    const validation = {
      ...labels,
      batch: async (indices: ArrayLike<number>) => ({
        ...(await labels.batch(indices)),
        labels: Int32Array.from(indices, (i) => answers[i]),
      }),
    }
    const data = { train: labels, validation }
    const result = await filterL1.apply(cnn.model, filterL1.options.parse({ retrain: false, maxLoss: 0 }), {
      ...context,
      data,
    })
    const sensitivity = await filterL1.sensitivity!(cnn.model, filterL1.options.parse({ maxLoss: 0 }), {
      ...context,
      data,
    })
    const stuck = sensitivity.curves.filter(({ chosen }) => chosen === 0)
    expect(stuck.length).toBeGreaterThan(0)
    for (const { layer, size } of stuck) {
      expect(result.graph.initializers.get(`${layer}.weight`)!.shape[0]).toBe(size)
      expect(skipped).toContain(`${layer}: without 1 of its ${size} filters the model loses more than 0 points`)
    }
  })

  async function answersOf(data: ReturnType<typeof patternData>): Promise<number[]> {
    const { inputs } = await data.batch(Array.from({ length: data.size }, (_, i) => i))
    const session = await onnxruntime.createSession(cnn.model)
    const values = toFloat32(Object.values(await session.run({ x: inputs }))[0])
    await session.close()
    return Array.from({ length: data.size }, (_, i) => {
      const row = values.slice(i * cnn.classes, (i + 1) * cnn.classes)
      return row.indexOf(Math.max(...row))
    })
  }

  it('works with methods that choose by trial too', async () => {
    const options = randomMasks.options.parse({ trials: 3, samples: 20, maxLossSamples: 20 })
    const found = await randomMasks.sensitivity!(cnn.model, options, contextFor(cnn))
    expect(found.curves.map(({ points }) => points.length)).toEqual([4, 8])
  })

  it('needs data, and excludes the other amounts', async () => {
    const options = filterL1.options.parse({ maxLoss: 1, retrain: false })
    const { data: _data, ...bare } = contextFor(cnn)
    await expect(filterL1.apply(cnn.model, options, bare)).rejects.toMatchObject({ code: 'no-validation-data' })
    for (const other of [{ ratio: 0.5 }, { keep: 3 }, { macs: 0.5 }, { scope: 'global' }])
      expect(filterL1.options.safeParse({ maxLoss: 1, ...other }).success).toBe(false)
  })
})

describe('the sensitivity of weights', () => {
  const settings = { maxLossSamples: 80, retrain: false }
  const zerosOf = (values: Float32Array) => values.filter((value) => value === 0).length

  it('is the accuracy of the model of which one layer alone has lost its smallest weights', async () => {
    const context = contextFor(cnn)
    const found = await magnitude.sensitivity!(cnn.model, magnitude.options.parse(settings), context)
    expect(found).toMatchObject({ unit: 'ratio', parts: 'weights' })
    expect(found.curves.map(({ layer, size }) => [layer, size])).toEqual([
      ['conv1', 36],
      ['conv2', 288],
      ['fc', 32],
    ])
    for (const { layer, size, points } of found.curves) {
      const name = `${layer}.weight`
      const tensor = cnn.model.graph.initializers.get(name)!
      const sizes = toFloat32(tensor).map(Math.abs)
      for (const { at: ratio, accuracy } of points) {
        const threshold = sizes.toSorted()[Math.round(ratio * size)]
        const pruned = toFloat32(tensor).map((value) => (Math.abs(value) < threshold ? 0 : value))
        expect(zerosOf(pruned)).toBe(Math.round(ratio * size))
        const initializers = new Map(cnn.model.graph.initializers).set(name, float32(pruned, tensor.shape))
        const model = { ...cnn.model, graph: { ...cnn.model.graph, initializers } }
        expect(accuracy).toBe((await evaluate(model, context.data!.validation, onnxruntime)).accuracy)
      }
    }
  })

  it('chooses how many weights each layer gives up, which strength turns and single layers may override', async () => {
    const found: Sensitivity[] = []
    const skipped: string[] = []
    const context = contextFor(cnn, found, skipped)
    const apply = async (options: object) => {
      const result = await magnitude.apply(cnn.model, magnitude.options.parse({ ...settings, ...options }), context)
      return ['conv1', 'conv2', 'fc'].map((name) =>
        zerosOf(toFloat32(result.graph.initializers.get(`${name}.weight`)!)),
      )
    }
    const zeros = await apply({ maxLoss: 10, layers: { fc: { sparsity: 0.25 } } })
    const [conv1, conv2] = found[0].curves
    expect(zeros).toEqual([conv1.chosen! * 36, conv2.chosen! * 288, 8].map(Math.round))
    for (const { layer, size, chosen } of [conv1, conv2])
      if (chosen === 0)
        expect(skipped).toContainEqual(expect.stringMatching(`^${layer}: without .* of its ${size} weights`))
    const { strength, options: schema } = magnitude
    expect(strength!(schema.parse({ maxLoss: 3 }), 2)).toMatchObject({ maxLoss: 6 })
    expect(schema.safeParse(strength!(schema.parse({ maxLoss: 90 }), 2)).success).toBe(true)
  })

  it('works with patterns, and with methods that select weights themselves', async () => {
    const context = contextFor(cnn)
    const rows = magnitude.options.parse({ ...settings, pattern: '2:4', include: ['fc'] })
    const [{ points }] = (await magnitude.sensitivity!(cnn.model, rows, context)).curves
    expect(points.map(({ at }) => at)).toEqual([0, 0.5])
    const exact = optimalBrainCompression.options.parse({ ...settings, include: ['fc'] })
    const { curves } = await optimalBrainCompression.sensitivity!(cnn.model, exact, context)
    expect(curves[0].points.length).toBeGreaterThan(8)
  })

  it('needs data, and excludes the other amounts', async () => {
    const { data: _data, ...bare } = contextFor(cnn)
    const options = magnitude.options.parse({ ...settings, maxLoss: 1 })
    await expect(magnitude.apply(cnn.model, options, bare)).rejects.toMatchObject({ code: 'no-validation-data' })
    for (const other of [{ sparsity: 0.5 }, { quality: 1 }, { pattern: '2:4' }, { scope: 'global' }])
      expect(magnitude.options.safeParse({ maxLoss: 1, ...other }).success).toBe(false)
  })
})
