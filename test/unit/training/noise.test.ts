import { describe, expect, it } from 'vitest'
import { onnxruntime as engine } from '../../../src/engines/onnxruntime.ts'
import { ModelError, UsageError } from '../../../src/errors.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { operators } from '../../../src/ir/ops/index.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { createTensor, elementCount, float32, identical } from '../../../src/tensor/tensor.ts'
import { readBatches } from '../../../src/training/batches.ts'
import { uniformInput, type RandomInput } from '../../../src/training/forward.ts'
import { evaluate } from '../../../src/training/evaluate.ts'
import { trainingSettings } from '../../../src/training/settings.ts'
import { train, type TrainOptions } from '../../../src/training/train.ts'
import { patternData } from '../../support/small-data.ts'

const shape = [1, 4, 4]
const data = patternData({ size: 72, seed: 1, classes: 3, inputShape: shape })
const kept: RandomInput = { input: 'm', shape: [4, 5], batched: true, values: { kind: 'kept', keep: 0.8 } }

function read(start: number, steps: number, random: readonly RandomInput[]) {
  const order = Uint32Array.from({ length: data.size }, (_, i) => i)
  const settings = { augmentation: 'none', shift: 0 } as const
  return readBatches({ dataset: data, order, seed: 3, epoch: 1, start, steps, batchSize: 4, settings, random })
}

/** A linear classifier whose weights are noisy in training: W + 0.2 · (noise − 1/2), or without the noise's term. */
function noisyNetwork(noisy: boolean): Model {
  const random = createRandom(2)
  const draft = createDraft()
  const x = draft.input('input', 'float32', ['N', ...shape])
  const weights = Float32Array.from({ length: 3 * 16 }, () => 0.1 * random.normal())
  let weight = draft.constant('weight', float32(weights, [3, 16]))
  if (noisy) {
    const noise = draft.add('Noise', [], { shape: [3, 16] }, { domain: 'espalier' })
    const centred = draft.add('Sub', [noise, draft.constant('half', float32([0.5], []))])
    weight = draft.add('Add', [weight, draft.add('Mul', [centred, draft.constant('size', float32([0.2], []))])])
  }
  draft.output(draft.add('Gemm', [draft.add('Flatten', [x]), weight], { transB: 1 }), 'float32', ['N', 3])
  return draft.finish()
}

function run(model: Model, options: Partial<TrainOptions> = {}) {
  const settings = trainingSettings.parse({ batchSize: 16, epochs: 2 })
  return train(model, { data, settings, parameters: ['weight'], engine, seed: 5, ...options })
}

const weightOf = (model: Model) => model.graph.initializers.get('weight')!

describe('random inputs', () => {
  it('are the same for a step, however many steps a run takes', async () => {
    const random = [kept, uniformInput('u', [7])]
    const whole = await read(0, 3, random)
    for (let step = 0; step < 3; step++) {
      const { random: alone } = await read(4 * step, 1, random)
      alone.forEach((tensor, i) => {
        const size = elementCount(random[i].shape)
        const part = (whole.random[i].data as Float32Array).slice(step * size, (step + 1) * size)
        expect(tensor.data).toEqual(part)
        expect(tensor.shape).toEqual([1, ...random[i].shape])
      })
    }
  })

  it('differ between steps and between inputs', async () => {
    const { random } = await read(0, 2, [uniformInput('u', [50]), uniformInput('v', [50])])
    const [u, v] = random.map((tensor) => tensor.data as Float32Array)
    const parts = [u.slice(0, 50), u.slice(50), v.slice(0, 50), v.slice(50)]
    expect(new Set(parts.map(String)).size).toBe(4)
  })

  it('are uniform in [0, 1), and kept with their probability', async () => {
    const size = 40_000
    const { random } = await read(0, 1, [uniformInput('u', [size]), { ...kept, shape: [size] }])
    const u = random[0].data as Float32Array
    expect(u.every((value) => value >= 0 && value < 1)).toBe(true)
    const mean = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value, 0) / size
    expect(mean(u)).toBeCloseTo(1 / 2, 2)
    expect(mean(u.map((value) => value ** 2))).toBeCloseTo(1 / 3, 2)
    expect(mean(random[1].data as Uint8Array)).toBeCloseTo(0.8, 2)
  })
})

describe('noise', () => {
  it('changes the training, and is one half everywhere else', async () => {
    const noisy = await run(noisyNetwork(true))
    const plain = await run(noisyNetwork(false))
    expect(identical(weightOf(noisy.model), weightOf(plain.model))).toBe(false)
    const measured = await evaluate(noisyNetwork(true), data, engine)
    expect(measured.loss).toBe((await evaluate(noisyNetwork(false), data, engine)).loss)
    expect(noisy.history[1].loss).toBeLessThan(noisy.history[0].loss)
  })

  it('gives the same weights whether the steps are looped or not, the partial batch included', async () => {
    const looped = weightOf((await run(noisyNetwork(true), { stepsPerRun: 4 })).model)
    const alone = weightOf((await run(noisyNetwork(true), { stepsPerRun: 1 })).model)
    const difference = (looped.data as Float32Array).map((value, i) =>
      Math.abs(value - (alone.data as Float32Array)[i]),
    )
    expect(Math.max(...difference)).toBeLessThan(1e-5)
  })

  it('goes on after a stop with the same bits', async () => {
    const whole = await run(noisyNetwork(true), { stepsPerRun: 1 })
    let bytes: Uint8Array | undefined
    const store = { read: async () => bytes, write: async (next: Uint8Array) => void (bytes = next) }
    const stop = new AbortController()
    let events = 0
    const progress = () => {
      if (++events === 4) stop.abort()
    }
    const options = { stepsPerRun: 1, checkpoint: { store } }
    await expect(run(noisyNetwork(true), { ...options, progress, signal: stop.signal })).rejects.toThrow(UsageError)
    expect(bytes).toBeDefined()
    const resumed = await run(noisyNetwork(true), options)
    expect(resumed.steps).toBe(whole.steps)
    expect(identical(weightOf(resumed.model), weightOf(whole.model))).toBe(true)
  })

  it('says what it lacks', () => {
    const noise = operators.get('espalier.Noise')!
    const node = { name: 'n', op: 'Noise', domain: 'espalier', inputs: [], outputs: ['y'], attributes: {} }
    const infer = () => noise.infer({ node, inputs: [], constant: () => undefined })
    expect(infer).toThrow(ModelError)
    expect(infer).toThrow(/no shape/)
    expect(createTensor('float32', [], new Float32Array([0.5]))).toEqual(
      noise.evaluate!({ node: { ...node, attributes: { shape: { kind: 'ints', value: [] } } }, inputs: [] })[0],
    )
  })
})
