import { describe, expect, it } from 'vitest'
import { onnxruntime as engine } from '../../../../src/engines/onnxruntime.ts'
import type { Model } from '../../../../src/ir/model.ts'
import type { Context, ProofCheck } from '../../../../src/methods/method.ts'
import { l1Regularization } from '../../../../src/methods/pruning/weights/l1-regularization.ts'
import { structuredSparsity } from '../../../../src/methods/pruning/filters/structured-sparsity.ts'
import { toFloat32 } from '../../../../src/tensor/half.ts'
import { float32, identical } from '../../../../src/tensor/tensor.ts'
import { trainingSettings } from '../../../../src/training/settings.ts'
import { train } from '../../../../src/training/train.ts'
import { patternData } from '../../../support/small-data.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

const [mlp, cnn, residual, grouped] = tinyModels()

const dataFor = ({ inputShape, classes }: typeof mlp) => ({
  train: patternData({ size: 64, seed: 1, classes, inputShape }),
  validation: patternData({ size: 16, seed: 2, classes, inputShape }),
})

function context(of: typeof mlp, more: Partial<Context> = {}): Context {
  return { seed: 1, engine, skip: () => {}, training: { epochs: 2, batchSize: 16 }, data: dataFor(of), ...more }
}

const weightsOf = (model: Model, name: string) => [...toFloat32(model.graph.initializers.get(name)!)]
const shapeOf = (model: Model, name: string) => model.graph.initializers.get(name)!.shape
/** One update with all examples; `still` leaves everything as it is. */
const once = { epochs: 1, batchSize: 64, learningRate: 0.1, momentum: 0.5 }
const still = { epochs: 1, learningRate: 1e-30 }

/** The weights after the first update without any penalty. */
async function updated(of: typeof mlp): Promise<Model> {
  const settings = trainingSettings.parse(once)
  return (await train(of.model, { data: dataFor(of).train, settings, engine, seed: 4 })).model
}

function withWeight(model: Model, name: string, change: (value: number, i: number) => number): Model {
  const initializers = new Map(model.graph.initializers)
  const before = initializers.get(name)!
  initializers.set(name, float32(toFloat32(before).map(change), before.shape))
  return { ...model, graph: { ...model.graph, initializers } }
}

function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length)
  found.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 5))
}

async function checkResumption(apply: (where: Context) => Promise<Model>, of: typeof mlp): Promise<void> {
  const whole = await apply(context(of))
  for (const task of ['shrink', 'retrain']) {
    const files = new Map<string, Uint8Array>()
    const controller = new AbortController()
    const checkpoints = (name: string) => ({
      read: async () => files.get(name),
      write: async (bytes: Uint8Array) => void files.set(name, bytes),
    })
    const killed = context(of, {
      checkpoints,
      signal: controller.signal,
      progress: (event) => event.task.startsWith(task) && event.done > 3 && controller.abort(),
    })
    await expect(apply(killed)).rejects.toMatchObject({ code: 'aborted' })
    const resumed = await apply(context(of, { checkpoints }))
    for (const [name, tensor] of whole.graph.initializers)
      expect(identical(tensor, resumed.graph.initializers.get(name)!), `${task}: ${name}`).toBe(true)
  }
}

describe('l1-regularization', () => {
  const run = (model: Model, options: object, where = context(mlp)) =>
    l1Regularization.apply(model, l1Regularization.options.parse(options), where)

  it('moves each weight towards zero by η λ / (1 − momentum), and not past it', async () => {
    const plain = await updated(mlp)
    const result = await run(mlp.model, { lambda: 1, layers: { fc2: { lambda: 0.5 } }, retrain: once, finish: still })
    for (const [name, length] of [
      ['fc1.weight', 0.2],
      ['fc2.weight', 0.1],
    ] as const) {
      const expected = weightsOf(plain, name).map((w) => Math.sign(w) * Math.max(Math.abs(w) - length, 0))
      expectClose(weightsOf(result, name), expected)
      const zeros = expected.filter((value) => value === 0).length
      expect(zeros).toBeGreaterThan(0)
      expect(weightsOf(result, name).filter((value) => value === 0)).toHaveLength(zeros)
    }
    expectClose(weightsOf(result, 'fc1.bias'), weightsOf(plain, 'fc1.bias'))
  })

  it('takes no part of the rate back from adam, which has a length of its own', async () => {
    const adam = { ...once, optimizer: 'adam' }
    const [without, withPenalty] = [
      await run(mlp.model, { lambda: 0, retrain: adam, finish: still }),
      await run(mlp.model, { lambda: 1, retrain: adam, finish: still }),
    ]
    const expected = weightsOf(without, 'fc2.weight').map((w) => Math.sign(w) * Math.max(Math.abs(w) - 0.1, 0))
    expectClose(weightsOf(withPenalty, 'fc2.weight'), expected)
  })

  it('drops what is not above the threshold, and keeps it dropped while the others train', async () => {
    const result = await run(mlp.model, { lambda: 0, threshold: 0.3, retrain: still })
    const before = weightsOf(mlp.model, 'fc1.weight')
    const found = weightsOf(result, 'fc1.weight')
    expect(found.map((value) => value === 0)).toEqual(before.map((value) => Math.abs(value) <= 0.3))
    const trained = await run(mlp.model, { lambda: 0, threshold: 0.3, retrain: still, finish: { learningRate: 0.05 } })
    expect(weightsOf(trained, 'fc1.weight').map((value) => value === 0)).toEqual(found.map((value) => value === 0))
    expect(weightsOf(trained, 'fc1.weight')).not.toEqual(found)
  })

  it('reports the layers of which nothing vanished', async () => {
    const skipped: string[] = []
    const where = context(mlp, { skip: (layer, reason) => skipped.push(`${layer}: ${reason}`) })
    await run(mlp.model, { lambda: 0, layers: { fc2: { lambda: 1 } }, retrain: once, finish: still }, where)
    expect(skipped).toEqual(['fc1: none of its weights vanished: raise its penalty, or train longer'])
  })

  it('names the layer of which nothing is left', async () => {
    const act = run(mlp.model, { lambda: 0, layers: { fc2: { lambda: 10 } }, retrain: { ...once, learningRate: 1 } })
    await expect(act).rejects.toMatchObject({ code: 'removes-whole-layer', place: 'fc2' })
    await expect(act).rejects.toMatchObject({ hint: expect.stringMatching(/Lower lambda/) })
    await expect(run(mlp.model, {}, { ...context(mlp), data: undefined })).rejects.toMatchObject({
      code: 'retrain-without-data',
    })
  })

  it('goes on after a kill', () => checkResumption((where) => run(mlp.model, { lambda: 0.2 }, where), mlp))
})

describe('structured-sparsity', () => {
  const run = (of: typeof mlp, options: object, more: Partial<Context> = {}, model = of.model) =>
    structuredSparsity.apply(
      model,
      structuredSparsity.options.parse({ filters: 0, channels: 0, ...options }),
      context(of, more),
    )

  /** The proximal step of one kind of group by its definition: indices of a group by `key`. */
  function shrunk(values: readonly number[], length: number, key: (i: number) => number): number[] {
    const squares = new Map<number, number>()
    values.forEach((value, i) => squares.set(key(i), (squares.get(key(i)) ?? 0) + value * value))
    return values.map((value, i) => value * Math.max(0, 1 - length / Math.sqrt(squares.get(key(i))!)))
  }

  // conv2.weight is [8, 4, 3, 3]: 36 a filter, 9 a channel of a filter.
  it.each([
    ['filters', (i: number) => Math.floor(i / 36)],
    ['channels', (i: number) => Math.floor(i / 9) % 4],
    ['shapes', (i: number) => i % 36],
  ] as const)('shrinks the norms of %s', async (kind, key) => {
    const plain = await updated(cnn)
    const result = await run(cnn, { layers: { conv2: { [kind]: 1 } }, retrain: once, finish: still })
    // η λ / (1 − momentum) = 0.2
    expectClose(weightsOf(result, 'conv2.weight'), shrunk(weightsOf(plain, 'conv2.weight'), 0.2, key))
    expectClose(weightsOf(result, 'conv1.weight'), weightsOf(plain, 'conv1.weight'))
  })

  it('lets the kinds take turns', async () => {
    const plain = await updated(cnn)
    const options = { layers: { conv2: { filters: 0.5, channels: 1 } }, retrain: once, finish: still }
    const filters = shrunk(weightsOf(plain, 'conv2.weight'), 0.1, (i) => Math.floor(i / 36))
    const both = shrunk(filters, 0.2, (i) => Math.floor(i / 9) % 4)
    expectClose(weightsOf(await run(cnn, options), 'conv2.weight'), both)
  })

  it('cuts what died with all that belongs to it, and proves it', async () => {
    // Filters 1 and 3 of conv1, and what reads channel 2, start small.
    let model = withWeight(cnn.model, 'conv1.weight', (w, i) => ([1, 3].includes(Math.floor(i / 9)) ? w / 1000 : w))
    model = withWeight(model, 'conv1.bias', (w, i) => ([1, 3].includes(i) ? 0 : w))
    model = withWeight(model, 'conv2.weight', (w, i) => (Math.floor(i / 9) % 4 === 2 ? w / 1000 : w))
    const proofs: ProofCheck[] = []
    const gentle = { ...once, learningRate: 0.001 }
    const options = { layers: { conv1: { filters: 5 }, conv2: { channels: 5 } }, retrain: gentle, finish: still }
    const result = await run(cnn, options, { proved: (check) => proofs.push(check) }, model)
    expect(shapeOf(result, 'conv2.weight')).toEqual([8, 1, 3, 3])
    expect(shapeOf(result, 'conv1.weight')).toEqual([1, 1, 3, 3])
    expect(proofs).toMatchObject([{ check: 'structured-sparsity: masked = cut', passed: true }])
    expect(result.graph.outputs).toEqual(model.graph.outputs)
  })

  it('lets a whole layer die only where something leads around it, and says that its channels stay', async () => {
    const skipped: string[] = []
    const options = { depth: 8, retrain: { ...once, learningRate: 0.3 }, finish: still }
    const result = await run(residual, options, { skip: (layer, reason) => skipped.push(`${layer}: ${reason}`) })
    expect(weightsOf(result, 'branch.weight').every((value) => value === 0)).toBe(true)
    expect(weightsOf(result, 'stem.weight').some((value) => value !== 0)).toBe(true)
    expect(skipped).toContain('stem: none of the groups that it has is penalised')
    expect(skipped.some((line) => line.startsWith('branch: 6 of its channels do nothing, but stay: '))).toBe(true)
  })

  it('leaves channels of grouped convolutions alone, where an index stands for several', async () => {
    const skipped: string[] = []
    const skip = (layer: string, reason: string) => skipped.push(`${layer}: ${reason}`)
    await run(grouped, { channels: 0.1, shapes: 0.1 }, { skip })
    expect(skipped.map((line) => line.split(':')[0])).toEqual(expect.arrayContaining(['grouped', 'depthwise']))
    const plain = await updated(grouped)
    const result = await run(grouped, { layers: { grouped: { filters: 1 } }, retrain: once, finish: still })
    const expected = shrunk(weightsOf(plain, 'grouped.weight'), 0.2, (i) => Math.floor(i / 18))
    expectClose(weightsOf(result, 'grouped.weight'), expected)
  })

  it('names the layer of which nothing is left', async () => {
    const act = run(cnn, { layers: { conv2: { filters: 10 } }, retrain: { ...once, learningRate: 1 } })
    await expect(act).rejects.toMatchObject({ code: 'removes-whole-layer', place: 'conv2' })
  })

  it('goes on after a kill', () => checkResumption((where) => run(cnn, { filters: 0.3, channels: 0.3 }, where), cnn))
})
