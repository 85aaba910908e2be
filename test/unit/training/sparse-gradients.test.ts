import { describe, expect, it } from 'vitest'
import { subset } from '../../../src/datasets/dataset.ts'
import { openData } from '../../../src/datasets/open.ts'
import { onnxruntime as engine } from '../../../src/engines/onnxruntime.ts'
import { UsageError } from '../../../src/errors.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { float32 } from '../../../src/tensor/tensor.ts'
import { readCheckpoint } from '../../../src/training/checkpoint.ts'
import { evaluate } from '../../../src/training/evaluate.ts'
import { optimizerOf } from '../../../src/training/optimizers/index.ts'
import type { OptimizerSettings } from '../../../src/training/optimizers/optimizer.ts'
import { trainingSettings } from '../../../src/training/settings.ts'
import { train } from '../../../src/training/train.ts'
import { buildNetwork } from '../../../src/zoo/layers.ts'
import { patternData } from '../../support/small-data.ts'

const shape = [4, 5]
const size = 20
const steps = 12
const rate = 0.1

/** Gradients for each step, apart enough that no two sums are equally large. */
const gradients = Array.from({ length: steps }, (_, step) => {
  const random = createRandom(100 + step)
  return Float32Array.from({ length: size }, () => random.normal())
})
const start = Float32Array.from({ length: size }, (_, i) => Math.cos(i))

/** The parameter after each step, by the fragment of the graph. */
async function byGraph(settings: OptimizerSettings): Promise<Float32Array[]> {
  const optimizer = optimizerOf({ ...settings, optimizer: 'sgd' })
  const draft = createDraft()
  const literal = (value: number) => draft.constant('literal', float32([value], []))
  const names = ['w', 'g', ...optimizer.slots(settings, shape)]
  const [parameter, gradient, ...slots] = names.map((name) => draft.input(name, 'float32', shape))
  const learningRate = draft.input('rate', 'float32', [])
  const step = draft.input('step', 'float32', [])
  const shared = optimizer.prepare?.({ draft, settings, literal, step, totalSteps: steps }) ?? {}
  const noise = () => draft.input('noise', 'float32', shape)
  const context = { draft, parameter, shape, gradient, slots, learningRate, shared, settings, literal, noise }
  const next = optimizer.update(context)
  for (const name of [next.parameter, ...next.slots]) draft.output(name, 'float32', shape)
  const session = await engine.createSession(draft.finish(), { threads: 1 })
  let state = Object.fromEntries(slots.map((slot) => [slot, float32(new Float32Array(size), shape)]))
  let w = float32(start, shape)
  const path: Float32Array[] = []
  for (const [i, g] of gradients.entries()) {
    const feeds = { ...state, w, g: float32(g, shape), rate: float32([rate], []), step: float32([i + 1], []) }
    const results = await session.run(feeds)
    w = float32(results[next.parameter].data as Float32Array, shape)
    state = Object.fromEntries(
      slots.map((slot, k) => [slot, float32(results[next.slots[k]].data as Float32Array, shape)]),
    )
    path.push(w.data)
  }
  await session.close()
  return path
}

/** Algorithm 4 of the paper, written down with loops. */
function byHand({ momentum, nesterov, gradientSparsity = 0, gradientWarmup = 0 }: OptimizerSettings): number[][] {
  let w = [...start]
  const u = Array.from({ length: size }, () => 0)
  const v = Array.from({ length: size }, () => 0)
  return gradients.map((g, step) => {
    const progress = gradientWarmup === 0 ? 1 : Math.min(1, (step + 1) / (gradientWarmup * steps))
    const count = Math.max(1, Math.ceil(size * (1 - gradientSparsity) ** progress - 1e-6))
    for (let i = 0; i < size; i++) {
      u[i] = nesterov ? momentum * (u[i] + g[i]) : momentum * u[i] + g[i]
      v[i] += nesterov ? u[i] + g[i] : u[i]
    }
    const order = v.map((_, i) => i).toSorted((a, b) => Math.abs(v[b]) - Math.abs(v[a]))
    w = [...w]
    for (const i of order.slice(0, count)) {
      w[i] -= rate * v[i]
      u[i] = v[i] = 0
    }
    return w
  })
}

describe('sparse gradients', () => {
  it.each<[string, OptimizerSettings]>([
    ['with momentum', { momentum: 0.9, nesterov: false, gradientSparsity: 0.8 }],
    ['with Nesterov momentum', { momentum: 0.7, nesterov: true, gradientSparsity: 0.75 }],
    ['without momentum', { momentum: 0, nesterov: false, gradientSparsity: 0.9 }],
    ['at the utmost sparsity', { momentum: 0.9, nesterov: false, gradientSparsity: 0.999 }],
    ['with a warm-up', { momentum: 0.9, nesterov: false, gradientSparsity: 0.9, gradientWarmup: 0.5 }],
  ])('move a parameter step by step as the algorithm says, %s', async (_, settings) => {
    const expected = byHand(settings)
    for (const [step, got] of (await byGraph(settings)).entries())
      for (const [i, value] of got.entries())
        expect(value, `step ${step}, place ${i}`).toBeCloseTo(expected[step][i], 4)
  })

  it('move one entry a step at the utmost sparsity, and lose none of the gradients without momentum', async () => {
    const path = await byGraph({ momentum: 0, nesterov: false, gradientSparsity: 0.95 })
    for (const [step, w] of path.entries()) {
      const before = step === 0 ? start : path[step - 1]
      expect(w.filter((value, i) => value !== before[i])).toHaveLength(1)
    }
  })

  it('are refused with adam', () => {
    const settings = { momentum: 0.9, nesterov: false, gradientSparsity: 0.9 }
    expect(() => optimizerOf({ ...settings, optimizer: 'adam' })).toThrow(UsageError)
    expect(() => optimizerOf({ ...settings, optimizer: 'adam' })).toThrow(/adam/)
  })

  it('leave parameters of one axis to sgd', () => {
    const settings = { momentum: 0.9, nesterov: false, gradientSparsity: 0.99 }
    const optimizer = optimizerOf({ ...settings, optimizer: 'sgd' })
    expect(optimizer.slots(settings, [10])).toEqual(['velocity'])
    expect(optimizer.slots(settings, [10, 3])).toEqual(['velocity', 'unsent'])
  })

  it('train the digits at 99 % about as well as whole ones', async () => {
    const digits = await openData('digits', { seed: 1 })
    const few = (count: number) => Uint32Array.from({ length: count }, (_, i) => i)
    const [data, test] = [subset(digits.train, few(3000)), subset(digits.test, few(1000))]
    const model = perceptron()
    const errorWith = async (settings: object) => {
      const parsed = trainingSettings.parse({ epochs: 8, batchSize: 20, learningRate: 0.03, ...settings })
      const trained = await train(model, { data, settings: parsed, engine, seed: 1 })
      return (await evaluate(trained.model, test, engine)).error
    }
    const whole = await errorWith({})
    const sparse = await errorWith({ gradientSparsity: 0.99, gradientWarmup: 0.2 })
    console.log(`error on digits: ${whole} with whole gradients, ${sparse} with 1 % of them`)
    expect(whole).toBeLessThan(0.1)
    expect(sparse).toBeLessThan(whole + 0.02)
  })

  it('go on after a kill where they were: what waits is part of the checkpoint', async () => {
    const data = patternData({ size: 64, seed: 1, classes: 4, inputShape: [1, 8, 8] })
    const settings = trainingSettings.parse({ epochs: 4, batchSize: 16, gradientSparsity: 0.9 })
    const run = (options: object) => train(small(), { data, settings, engine, seed: 3, ...options })
    const whole = await run({})
    let kept: Uint8Array | undefined
    const controller = new AbortController()
    const store = {
      read: async () => kept,
      write: async (bytes: Uint8Array) => {
        kept = bytes
        controller.abort()
      },
    }
    await run({ checkpoint: { store, everySeconds: 0 }, signal: controller.signal, stepsPerRun: 2 }).catch(() => {})
    const names = [...readCheckpoint(kept!).state.keys()]
    expect(names).toContain('fc.weight.unsent')
    const resumed = await run({ checkpoint: { store }, stepsPerRun: 2 })
    const weightOf = ({ graph }: Model) => [...(graph.initializers.get('fc.weight')!.data as Float32Array)]
    for (const [i, value] of weightOf(resumed.model).entries()) expect(value).toBeCloseTo(weightOf(whole.model)[i], 5)
  })
})

describe('clipping', () => {
  it('scales all gradients down together to the norm that is asked for', async () => {
    const data = patternData({ size: 16, seed: 1, classes: 4, inputShape: [1, 8, 8] })
    const moved = async (gradientClip?: number) => {
      const settings = { epochs: 1, batchSize: 16, momentum: 0, learningRate: 1, gradientClip }
      const { model } = await train(small(), { data, settings: trainingSettings.parse(settings), engine, seed: 1 })
      return ['fc.weight', 'fc.bias'].flatMap((name) => {
        const before = small().graph.initializers.get(name)!.data as Float32Array
        return [...(model.graph.initializers.get(name)!.data as Float32Array)].map((value, i) => value - before[i])
      })
    }
    const norm = (values: number[]) => Math.hypot(...values)
    const free = await moved()
    const short = await moved(norm(free) / 4)
    expect(norm(short)).toBeCloseTo(norm(free) / 4, 5)
    for (const [i, value] of short.entries()) expect(value).toBeCloseTo(free[i] / 4, 5)
    expect(await moved(2 * norm(free))).toEqual(free)
  })
})

/** One linear layer. */
function small(): Model {
  return buildNetwork('small', 1, [1, 8, 8], 4, (layers, x) => layers.linear(layers.flatten(x), 'fc', 64, 4))
}

function perceptron(): Model {
  return buildNetwork('perceptron', 1, [1, 28, 28], 10, (layers, x) => {
    const hidden = layers.relu(layers.linear(layers.flatten(x), 'fc1', 784, 64, 2))
    return layers.linear(hidden, 'fc2', 64, 10)
  })
}
