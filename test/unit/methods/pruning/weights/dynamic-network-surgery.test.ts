import { describe, expect, it } from 'vitest'
import { onnxruntime as engine } from '../../../../../src/engines/onnxruntime.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import type { Context } from '../../../../../src/methods/method.ts'
import { dynamicNetworkSurgery } from '../../../../../src/methods/pruning/weights/dynamic-network-surgery.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { identical } from '../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../src/training/evaluate.ts'
import { trainingSettings } from '../../../../../src/training/settings.ts'
import { train } from '../../../../../src/training/train.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

const [mlp, cnn] = tinyModels()
const dataFor = ({ inputShape, classes }: typeof mlp, size = 96) => ({
  train: patternData({ size, seed: 1, classes, inputShape, noise: 0.3 }),
  validation: patternData({ size: 32, seed: 2, classes, inputShape, noise: 0.3 }),
})

function context(of = mlp, more: Partial<Context> = {}): Context {
  const training = { epochs: 4, batchSize: 16, learningRate: 0.05 }
  return { seed: 1, engine, skip: () => {}, training, data: dataFor(of), ...more }
}

const run = (model: Model, options: object, where = context()) =>
  dynamicNetworkSurgery.apply(model, dynamicNetworkSurgery.options.parse(options), where)
const weightsOf = (model: Model, name: string) => [...toFloat32(model.graph.initializers.get(name)!)]
const keptIn = (model: Model, name: string) => weightsOf(model, name).filter((value) => value !== 0).length

/** Mean and standard deviation of the absolute values. */
function spreadOf(values: readonly number[]) {
  const sizes = values.map(Math.abs)
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length
  return { mean, deviation: Math.sqrt(sizes.reduce((sum, size) => sum + (size - mean) ** 2, 0) / sizes.length) }
}

describe('dynamic-network-surgery', () => {
  const still = { finish: { epochs: 1, learningRate: 1e-30 } }

  it('masks what is below mean and deviations of the weights at the start', async () => {
    // One update with all examples, of a rate too small to change anything: the mask shows the first thresholds.
    const retrain = { epochs: 1, batchSize: 96, learningRate: 1e-30 }
    const result = await run(mlp.model, { deviations: 0.5, margin: 0.2, phases: [['*']], retrain, ...still })
    for (const name of ['fc1.weight', 'fc2.weight']) {
      const before = weightsOf(mlp.model, name)
      const { mean, deviation } = spreadOf(before)
      const least = 0.8 * (mean + 0.5 * deviation)
      expect(weightsOf(result, name)).toEqual(before.map((value) => (Math.abs(value) < least ? 0 : value)))
      expect(keptIn(result, name)).toBeLessThan(before.length)
    }
  })

  it('goes by the weights as they are after the update, and leaves the masks alone after the last surgery', async () => {
    const settings = { epochs: 1, batchSize: 96, learningRate: 1, momentum: 0 }
    const { model: once } = await train(mlp.model, {
      data: dataFor(mlp).train,
      settings: trainingSettings.parse(settings),
      engine,
      seed: 9,
    })
    const moved = weightsOf(once, 'fc1.weight')
    const { mean } = spreadOf(weightsOf(mlp.model, 'fc1.weight'))
    const options = { margin: 0, phases: [['fc1']], include: ['fc1'], ...still }
    const result = await run(mlp.model, { ...options, until: 0.25, retrain: { ...settings, epochs: 4 } })
    const kept = weightsOf(result, 'fc1.weight').map((value) => value !== 0)
    expect(kept).toEqual(moved.map((value) => Math.abs(value) >= mean))
    const start = weightsOf(mlp.model, 'fc1.weight').map((value) => Math.abs(value) >= mean)
    expect(kept).not.toEqual(start)
  })

  it('brings weights back that learn to be large', async () => {
    const settings = { batchSize: 16, learningRate: 0.1, epochs: 8 }
    const options = { margin: 0.05, phases: [['fc1']], include: ['fc1'], ...still }
    const early = await run(mlp.model, { ...options, until: 1 / 48, retrain: settings })
    const late = await run(mlp.model, { ...options, until: 1, retrain: settings })
    const [first, last] = [early, late].map((model) => weightsOf(model, 'fc1.weight').map((value) => value !== 0))
    const back = last.filter((kept, i) => kept && !first[i]).length
    const gone = last.filter((kept, i) => !kept && first[i]).length
    expect(back).toBeGreaterThan(0)
    expect(gone).toBeGreaterThan(0)
  })

  it('prunes convolutions before dense layers, and keeps accuracy', async () => {
    const tasks = new Set<string>()
    const where = context(cnn, { progress: ({ task }) => tasks.add(task.split(':')[0]) })
    const result = await run(cnn.model, { deviations: 0, layers: { fc: { deviations: -1 } } }, where)
    expect([...tasks]).toEqual(['surgery 1/2', 'surgery 2/2', 'retrain'])
    expect(keptIn(result, 'conv2.weight')).toBeLessThan(220)
    const { accuracy } = await evaluate(result, dataFor(cnn).validation, engine)
    const dense = await train(cnn.model, {
      data: dataFor(cnn).train,
      settings: trainingSettings.parse({ epochs: 12, batchSize: 16, learningRate: 0.05 }),
      engine,
      seed: 1,
    })
    const { accuracy: reference } = await evaluate(dense.model, dataFor(cnn).validation, engine)
    expect(accuracy).toBeGreaterThan(reference - 0.15)
  })

  it('keeps zeros of other layers, and names the layers that no phase has', async () => {
    const initializers = new Map(cnn.model.graph.initializers)
    const conv1 = initializers.get('conv1.weight')!
    initializers.set('conv1.weight', {
      ...conv1,
      data: (conv1.data as Float32Array).map((value, i) => (i % 2 ? value : 0)),
    })
    const model = { ...cnn.model, graph: { ...cnn.model.graph, initializers } }
    const skipped: string[] = []
    const where = context(cnn, { skip: (layer, reason) => skipped.push(`${layer}: ${reason}`) })
    const result = await run(model, { exclude: ['conv1'], phases: [['conv2']] }, where)
    expect(skipped).toEqual(['conv1: excluded by the options', 'fc: none of the phases names it'])
    expect(weightsOf(result, 'conv1.weight').map((value) => value === 0)).toEqual(
      weightsOf(model, 'conv1.weight').map((value) => value === 0),
    )
    expect(keptIn(result, 'fc.weight')).toBe(32)
    const left = await run(model, { phases: [['conv2']] }, context(cnn))
    expect(keptIn(left, 'conv1.weight')).toBe(keptIn(model, 'conv1.weight'))
  })

  it('leaves the largest weight of a layer whose weights all shrink away', async () => {
    const retrain = { epochs: 40, batchSize: 96, learningRate: 0.5, momentum: 0, weightDecay: 1 }
    const result = await run(mlp.model, { deviations: 1, phases: [['fc2']], until: 1, retrain, ...still })
    expect(keptIn(result, 'fc2.weight')).toBe(1)
  })

  it('goes on after a kill in each of its trainings', async () => {
    const whole = await run(cnn.model, {}, context(cnn))
    for (const task of ['surgery 1/2', 'surgery 2/2', 'retrain']) {
      const files = new Map<string, Uint8Array>()
      const controller = new AbortController()
      const checkpoints = (name: string) => ({
        read: async () => files.get(name),
        write: async (bytes: Uint8Array) => void files.set(name, bytes),
      })
      const killed = context(cnn, {
        checkpoints,
        signal: controller.signal,
        progress: (event) => event.task.startsWith(task) && event.done > 6 && controller.abort(),
      })
      await expect(run(cnn.model, {}, killed)).rejects.toMatchObject({ code: 'aborted' })
      const resumed = await run(cnn.model, {}, context(cnn, { checkpoints }))
      for (const [name, tensor] of whole.graph.initializers)
        expect(identical(tensor, resumed.graph.initializers.get(name)!), `${task}: ${name}`).toBe(true)
    }
  })

  it('says what cannot be', async () => {
    await expect(run(mlp.model, { deviations: 20 })).rejects.toMatchObject({
      code: 'removes-whole-layer',
      place: 'fc1',
      hint: expect.stringMatching(/Lower deviations.*largest weight is \d/),
    })
    await expect(run(mlp.model, { phases: [['cf1']] })).rejects.toMatchObject({ code: 'layer-pattern', place: 'cf1' })
    await expect(run(mlp.model, { layers: { cf1: {} } })).rejects.toMatchObject({ hint: "Did you mean 'fc1'?" })
    await expect(run(mlp.model, {}, { ...context(), data: undefined })).rejects.toMatchObject({
      code: 'retrain-without-data',
    })
  })
})
