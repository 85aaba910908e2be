import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { float32, type Tensor } from '../../../src/tensor/tensor.ts'
import { optimizers } from '../../../src/training/optimizers/index.ts'
import type { Optimizer, OptimizerSettings } from '../../../src/training/optimizers/optimizer.ts'

const rates = [0.1, 0.1, 0.05, 0.05, 0.02, 0.02]
const start = [0.5, -1, 2]

/** The gradients are made up, but depend on the parameter, as real ones do. */
const gradientOf = (w: number, step: number, i: number) => Math.sin(3 * w + step) + 0.1 * i

/** Runs the rule's fragment, one update a run. */
async function runFragment(optimizer: Optimizer, settings: OptimizerSettings): Promise<number[][]> {
  const draft = createDraft()
  const literal = (value: number) => draft.constant('literal', float32([value], []))
  const inputs = ['w', 'g', ...optimizer.slots(settings, [3])].map((name) => draft.input(name, 'float32', [3]))
  const learningRate = draft.input('rate', 'float32', [])
  const step = draft.input('step', 'float32', [])
  const [parameter, gradient, ...slots] = inputs
  const shared = optimizer.prepare?.({ draft, settings, literal, step, totalSteps: rates.length }) ?? {}
  const next = optimizer.update({
    draft,
    parameter,
    shape: [3],
    gradient,
    slots,
    learningRate,
    shared,
    settings,
    literal,
  })
  for (const name of [next.parameter, ...next.slots]) draft.output(name, 'float32', [3])
  const session = await onnxruntime.createSession(draft.finish(), { threads: 1 })
  let state: Record<string, Tensor> = { w: float32(start) }
  for (const slot of slots) state[slot] = float32([0, 0, 0])
  const path: number[][] = []
  for (const [i, rate] of rates.entries()) {
    const w = state.w.data as Float32Array
    const feeds = {
      ...state,
      g: float32(w.map((value, k) => gradientOf(value, i, k))),
      rate: float32([rate], []),
      step: float32([i + 1], []),
    }
    const results = await session.run(feeds)
    state = { w: results[next.parameter] }
    slots.forEach((slot, k) => (state[slot] = results[next.slots[k]]))
    path.push([...(state.w.data as Float32Array)])
  }
  await session.close()
  return path
}

function expectPath(path: number[][], update: (w: number, g: number, rate: number, step: number, i: number) => number) {
  let w = start
  path.forEach((got, step) => {
    w = w.map((value, i) => update(value, gradientOf(Math.fround(value), step, i), rates[step], step + 1, i))
    got.forEach((value, i) => expect(value).toBeCloseTo(w[i], 5))
  })
}

describe('optimizers', () => {
  it('sgd without momentum', async () => {
    const path = await runFragment(optimizers.sgd, { momentum: 0, nesterov: false })
    expectPath(path, (w, g, rate) => w - rate * g)
  })

  it('sgd with momentum, as PyTorch has it', async () => {
    const path = await runFragment(optimizers.sgd, { momentum: 0.9, nesterov: false })
    const velocity: (number | undefined)[] = []
    expectPath(path, (w, g, rate, _, i) => {
      velocity[i] = velocity[i] === undefined ? g : 0.9 * velocity[i] + g
      return w - rate * velocity[i]
    })
  })

  it('sgd with Nesterov momentum, as PyTorch has it', async () => {
    const path = await runFragment(optimizers.sgd, { momentum: 0.8, nesterov: true })
    const velocity = [0, 0, 0]
    expectPath(path, (w, g, rate, _, i) => {
      velocity[i] = 0.8 * velocity[i] + g
      return w - rate * (g + 0.8 * velocity[i])
    })
  })

  it('adam with bias correction', async () => {
    const path = await runFragment(optimizers.adam, { momentum: 0.9, nesterov: false })
    const m = [0, 0, 0]
    const v = [0, 0, 0]
    expectPath(path, (w, g, rate, step, i) => {
      m[i] = 0.9 * m[i] + 0.1 * g
      v[i] = 0.999 * v[i] + 0.001 * g * g
      const correctedM = m[i] / (1 - 0.9 ** step)
      const correctedV = v[i] / (1 - 0.999 ** step)
      return w - (rate * correctedM) / (Math.sqrt(correctedV) + 1e-8)
    })
  })

  it('say who they are', () => {
    for (const [name, optimizer] of Object.entries(optimizers)) {
      expect(optimizer.name).toBe(name)
      expect(optimizer.summary).toMatch(/^[A-Z].*\.$/)
      expect(optimizer.paper.year).toBeGreaterThan(1950)
    }
  })
})
