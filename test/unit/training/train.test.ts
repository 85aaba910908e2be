import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../src/datasets/dataset.ts'
import { onnxruntime as engine } from '../../../src/engines/onnxruntime.ts'
import { UsageError } from '../../../src/errors.ts'
import { createDraft, float } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import type { ProgressEvent } from '../../../src/progress.ts'
import { fromFloat32, toFloat32 } from '../../../src/tensor/half.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { float32, identical } from '../../../src/tensor/tensor.ts'
import { readCheckpoint, type CheckpointStore } from '../../../src/training/checkpoint.ts'
import { evaluate } from '../../../src/training/evaluate.ts'
import { trainingSettings } from '../../../src/training/settings.ts'
import { train, type TrainOptions, type TrainResult } from '../../../src/training/train.ts'
import { lenet300100 } from '../../../src/zoo/lenet-300-100.ts'
import { patternData } from '../../support/small-data.ts'

const shape = [1, 8, 8]
const data = patternData({ size: 200, seed: 1, classes: 4, inputShape: shape })
const validation = patternData({ size: 80, seed: 2, classes: 4, inputShape: shape })

/** A small network with convolution, batch normalization and dropout. */
function smallNetwork(options: { dropout?: number } = {}): Model {
  const random = createRandom(3)
  const draft = createDraft()
  const normal = (name: string, dims: number[], scale: number) => {
    const size = dims.reduce((product, dim) => product * dim, 1)
    return draft.constant(
      name,
      float32(
        Float32Array.from({ length: size }, () => scale * random.normal()),
        dims,
      ),
    )
  }
  const filled = (name: string, value: number) => draft.constant(name, float32([value, value, value, value]))
  const x = draft.input('input', 'float32', ['N', ...shape])
  const conv = draft.add('Conv', [x, normal('conv.weight', [4, 1, 3, 3], 0.3)], {
    kernel_shape: [3, 3],
    pads: [1, 1, 1, 1],
  })
  const statistics = [filled('scale', 1), filled('shift', 0), filled('mean', 0), filled('variance', 1)]
  const norm = draft.add('BatchNormalization', [conv, ...statistics], { momentum: float(0.9) })
  let features = draft.add('Flatten', [draft.add('Relu', [norm])])
  if (options.dropout !== undefined)
    features = draft.add('Dropout', [features, draft.constant('ratio', float32([options.dropout], []))])
  const weights = [normal('fc.weight', [4, 256], 0.05), filled('fc.bias', 0)]
  draft.output(draft.add('Gemm', [features, ...weights], { transB: 1 }), 'float32', ['N', 4])
  return draft.finish()
}

type Settings = Parameters<typeof trainingSettings.parse>[0]

function run(model: Model, settings: Settings, options: Partial<TrainOptions> = {}): Promise<TrainResult> {
  const parsed = trainingSettings.parse({ batchSize: 16, epochs: 2, ...(settings as object) })
  return train(model, { data, settings: parsed, engine, seed: 5, ...options })
}

function expectSameWeights(a: Model, b: Model): void {
  for (const [name, tensor] of a.graph.initializers)
    expect(identical(tensor, b.graph.initializers.get(name)!), name).toBe(true)
}

function memoryStore(): CheckpointStore & { bytes?: Uint8Array } {
  return {
    async read() {
      return this.bytes
    },
    async write(bytes) {
      this.bytes = bytes
    },
  }
}

describe('train', () => {
  it('learns, with every optimizer and loss, and leaves its input alone', async () => {
    const model = smallNetwork()
    const before = [...model.graph.initializers].map(([, tensor]) => Float32Array.from(tensor.data as Float32Array))
    for (const settings of [
      { optimizer: 'sgd', learningRate: 0.02, weightDecay: 1e-4, schedule: 'cosine', epochs: 4 },
      { optimizer: 'sgd', nesterov: true, learningRate: 0.02, epochs: 4 },
      { optimizer: 'adam', learningRate: 0.005, epochs: 4 },
      { loss: 'mean-squared-error', optimizer: 'adam', learningRate: 0.005, epochs: 4 },
    ]) {
      const { model: trained, history } = await run(model, settings, { validation })
      const { accuracy } = await evaluate(trained, validation, engine)
      expect(accuracy, JSON.stringify(settings)).toBeGreaterThan(0.75)
      expect(history.at(-1)!.validation!.accuracy).toBeCloseTo(accuracy, 6)
      expect(trained.graph.nodes).toEqual(model.graph.nodes)
    }
    ;[...model.graph.initializers].forEach(([, tensor], i) => expect(tensor.data).toEqual(before[i]))
  })

  it('moves the running statistics towards those of the data', async () => {
    const { model: trained } = await run(smallNetwork(), { epochs: 3 })
    const variance = trained.graph.initializers.get('variance')!.data as Float32Array
    expect([...variance].every((value) => value !== 1 && value > 0)).toBe(true)
    const { model: frozen } = await run(smallNetwork(), { epochs: 1 }, { frozenStatistics: true })
    expect([...(frozen.graph.initializers.get('variance')!.data as Float32Array)]).toEqual([1, 1, 1, 1])
  })

  it('gives the same losses whether the steps are looped or not', async () => {
    const [single, looped] = await Promise.all(
      [1, 5].map((stepsPerRun) => run(smallNetwork(), { augmentation: 'crop-flip' }, { stepsPerRun })),
    )
    single.history.forEach(({ loss }, i) => expect(looped.history[i].loss).toBeCloseTo(loss, 5))
    for (const [name, { data: values }] of single.model.graph.initializers) {
      const other = looped.model.graph.initializers.get(name)!.data as Float32Array
      ;(values as Float32Array).forEach((value, i) => expect(other[i]).toBeCloseTo(value, 4))
    }
  })

  it('decays weights, and leaves biases alone', async () => {
    const model = smallNetwork()
    const settings = { epochs: 1 / 13, momentum: 0, learningRate: 0.5 }
    const [plain, decayed] = [await run(model, settings), await run(model, { ...settings, weightDecay: 0.1 })]
    expect(plain.steps).toBe(1)
    const of = (from: Model, name: string) => from.graph.initializers.get(name)!.data as Float32Array
    const start = of(model, 'fc.weight')
    of(decayed.model, 'fc.weight').forEach((value, i) =>
      expect(value).toBeCloseTo(of(plain.model, 'fc.weight')[i] - 0.5 * 0.1 * start[i], 6),
    )
    for (const name of ['fc.bias', 'scale', 'shift']) expect(of(decayed.model, name)).toEqual(of(plain.model, name))
  })

  it('sees every example once an epoch, the partial batch included', async () => {
    const seen: number[] = []
    const watched: Dataset = {
      ...data,
      batch: (indices) => {
        seen.push(...Array.from(indices))
        return data.batch(indices)
      },
    }
    const { steps } = await run(smallNetwork(), { epochs: 1, batchSize: 48 }, { data: watched })
    expect(steps).toBe(5)
    expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i))
    expect(seen.slice(0, 5)).not.toEqual([0, 1, 2, 3, 4])
  })

  it('gives the same bits for the same seed, and others for another', async () => {
    const model = smallNetwork({ dropout: 0.3 })
    const [a, b, c] = [await run(model, {}), await run(model, {}), await run(model, {}, { seed: 6 })]
    expectSameWeights(a.model, b.model)
    expect(identical(a.model.graph.initializers.get('fc.weight')!, c.model.graph.initializers.get('fc.weight')!)).toBe(
      false,
    )
  })

  it('goes on after a kill as if nothing had happened', async () => {
    const model = smallNetwork({ dropout: 0.3 })
    const settings = { epochs: 3, augmentation: 'crop', optimizer: 'adam', learningRate: 0.002, patience: 2 }
    const options = { validation, stepsPerRun: 2 }
    const whole = await run(model, settings, options)
    for (const stopAt of [1, 8, 9, 20, 23]) {
      const store = memoryStore()
      const checkpoint = { store, everySeconds: 0 }
      const writes = store.write.bind(store)
      let count = 0
      store.write = async (bytes) => {
        // A kill: nothing after this write happens any more.
        if (++count > stopAt) throw new Error('killed')
        await writes(bytes)
      }
      await expect(run(model, settings, { ...options, checkpoint })).rejects.toThrow('killed')
      store.write = writes
      const resumed = await run(model, settings, { ...options, checkpoint })
      expect(resumed.history).toEqual(whole.history)
      expectSameWeights(resumed.model, whole.model)
    }
  })

  it('refuses the checkpoint of another run, and gives a finished one its result again', async () => {
    const checkpoint = { store: memoryStore() }
    const first = await run(smallNetwork(), {}, { checkpoint })
    const again = await run(smallNetwork(), {}, { checkpoint })
    expect(again.history).toEqual(first.history)
    expectSameWeights(again.model, first.model)
    await expect(run(smallNetwork(), { learningRate: 0.02 }, { checkpoint })).rejects.toThrow(/another run/)
  })

  it('refuses the checkpoint of a run with another teacher', async () => {
    const settings = { loss: 'kullback-leibler' }
    const [first, second] = [await run(smallNetwork(), {}), await run(smallNetwork(), {}, { seed: 6 })]
    const under = (model: Model) => ({ checkpoint, teacher: { model, temperature: 2, weight: 1 } })
    const checkpoint = { store: memoryStore() }
    await run(smallNetwork(), settings, under(first.model))
    await expect(run(smallNetwork(), settings, under(second.model))).rejects.toMatchObject({
      code: 'checkpoint-mismatch',
    })
  })

  it('stops when told to, and goes on from there', async () => {
    const controller = new AbortController()
    const checkpoint = { store: memoryStore() }
    const options = { checkpoint, stepsPerRun: 2 }
    const stopped = run(
      smallNetwork(),
      {},
      {
        ...options,
        signal: controller.signal,
        progress: ({ done }) => done >= 8 && controller.abort(),
      },
    )
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
    await expect(stopped).rejects.toThrow(UsageError)
    const resumed = await run(smallNetwork(), {}, options)
    expectSameWeights(resumed.model, (await run(smallNetwork(), {}, { stepsPerRun: 2 })).model)
  })

  it('stops before the first step, and in the middle of validation, without losing anything', async () => {
    await expect(run(smallNetwork(), {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' })
    const controller = new AbortController()
    const checkpoint = { store: memoryStore() }
    const interrupting: Dataset = {
      ...validation,
      batch: (indices) => {
        controller.abort()
        // More are promised than there are, so that validation takes two reads.
        return validation.batch(Array.from(indices, (index) => index % validation.size))
      },
    }
    const interrupted = { ...interrupting, size: 300 }
    const stopped = run(smallNetwork(), {}, { validation: interrupted, checkpoint, signal: controller.signal })
    await expect(stopped).rejects.toMatchObject({ code: 'aborted', message: 'the training was stopped' })
    expect(readCheckpoint(checkpoint.store.bytes!).position).toMatchObject({
      steps: 13,
      examples: 200,
      finished: false,
    })
  })

  it('stops early when validation gets no better, and keeps the best', async () => {
    const settings = { epochs: 30, learningRate: 0.05, patience: 2 }
    const { model, history, epoch } = await run(smallNetwork(), settings, { validation })
    expect(history.length).toBeLessThan(30)
    expect(history.length).toBe(epoch + 2)
    const best = Math.max(...history.map((record) => record.validation!.accuracy))
    expect(history[epoch - 1].validation!.accuracy).toBe(best)
    expect((await evaluate(model, validation, engine)).accuracy).toBeCloseTo(best, 6)
    await expect(run(smallNetwork(), settings)).rejects.toThrow(/needs validation/)
  })

  it('names step, loss and remedy when it diverges', async () => {
    const act = run(
      lenet300100({ seed: 1 }),
      { learningRate: 1e6, batchSize: 8 },
      {
        data: patternData({ size: 64, seed: 3 }),
      },
    )
    await expect(act).rejects.toMatchObject({ code: 'training-diverged' })
    await expect(act).rejects.toThrow(/step \d+: the loss/)
    await expect(act).rejects.toMatchObject({ hint: expect.stringMatching(/Lower the learning rate/) })
  })

  it('reports progress with speed and time left', async () => {
    const events: ProgressEvent[] = []
    await run(smallNetwork(), {}, { validation, task: 'retrain', progress: (event) => events.push(event) })
    const last = events.at(-1)!
    expect(last).toMatchObject({ task: 'retrain', done: 26, total: 26 })
    expect(Object.keys(last.detail!)).toEqual(
      expect.arrayContaining(['epoch', 'loss', 'accuracy', 'imagesPerSecond', 'etaSeconds', 'validationAccuracy']),
    )
  })

  it('trains half precision in single precision, and gives halves back', async () => {
    const single = smallNetwork()
    const draft = createDraft(single)
    for (const [name, tensor] of draft.initializers)
      draft.initializers.set(name, fromFloat32('float16', tensor.shape, toFloat32(tensor)))
    for (const list of [draft.inputs, draft.outputs])
      list.forEach((info, i) => (list[i] = { ...info, type: { ...info.type, dtype: 'float16' } }))
    const { model } = await run(draft.finish(), { epochs: 4, learningRate: 0.02 })
    expect([...model.graph.initializers.values()].every(({ dtype }) => dtype === 'float16')).toBe(true)
    expect((await evaluate(model, validation, engine)).accuracy).toBeGreaterThan(0.9)
  })

  it('follows a teacher', async () => {
    const teacher = (await run(smallNetwork(), { epochs: 4, learningRate: 0.02 })).model
    const settings = { loss: 'kullback-leibler', epochs: 4, learningRate: 0.02 }
    // Labels are of no use to this student: they all say 0.
    const blind: Dataset = {
      ...data,
      batch: async (indices) => {
        const { inputs, labels } = await data.batch(indices)
        return { inputs, labels: labels.map(() => 0) }
      },
    }
    const { model } = await run(smallNetwork(), settings, {
      data: blind,
      teacher: { model: teacher, temperature: 4, weight: 1 },
    })
    expect((await evaluate(model, validation, engine)).accuracy).toBeGreaterThan(0.9)
    await expect(run(smallNetwork(), settings)).rejects.toMatchObject({ code: 'no-teacher' })
  })

  it('adds penalties and obeys constraints', async () => {
    const { model } = await run(
      smallNetwork(),
      {},
      {
        penalties: [
          (draft, { parameters }) => {
            const squares = draft.add('Mul', [parameters[1], parameters[1]])
            const sum = draft.add('ReduceSum', [squares, undefined], { keepdims: 0 })
            return draft.add('Mul', [sum, draft.constant('strength', float32([10], []))])
          },
        ],
        parameters: ['conv.weight', 'scale', 'fc.weight', 'fc.bias'],
        constraint: (draft, parameter, value) =>
          parameter === 'fc.weight'
            ? draft.add('Clip', [
                value,
                draft.constant('least', float32([-0.05], [])),
                draft.constant('most', float32([0.05], [])),
              ])
            : value,
      },
    )
    const weights = model.graph.initializers.get('fc.weight')!.data as Float32Array
    expect(Math.max(...weights.map(Math.abs))).toBeLessThanOrEqual(Math.fround(0.05))
    const scale = model.graph.initializers.get('scale')!.data as Float32Array
    expect(Math.max(...scale.map(Math.abs))).toBeLessThan(0.3)
    expect([...(model.graph.initializers.get('shift')!.data as Float32Array)]).toEqual([0, 0, 0, 0])
  })

  it('says what does not fit', async () => {
    const model = smallNetwork()
    await expect(run(model, {}, { parameters: ['conv.wieght'] })).rejects.toThrow(/no initializer 'conv.wieght'/)
    await expect(run(model, {}, { parameters: [] })).rejects.toMatchObject({ code: 'no-parameters' })
    await expect(run(model, {}, { data: patternData({ size: 8, seed: 1 }) })).rejects.toMatchObject({
      code: 'input-shape',
    })
    const many = patternData({ size: 8, seed: 1, classes: 9, inputShape: shape })
    await expect(run(model, {}, { data: many })).rejects.toMatchObject({ code: 'class-count' })
    await expect(run(model, {}, { data: { ...data, size: 0 } })).rejects.toMatchObject({
      code: 'no-examples',
      hint: expect.stringContaining('?test=0.2') as string,
    })
  })
})
