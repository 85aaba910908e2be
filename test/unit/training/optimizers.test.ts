import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { UsageError } from '../../../src/errors.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { float32, type Tensor } from '../../../src/tensor/tensor.ts'
import { optimizerOf, optimizers } from '../../../src/training/optimizers/index.ts'
import type { Optimizer, OptimizerSettings } from '../../../src/training/optimizers/optimizer.ts'

const rates = [0.1, 0.1, 0.05, 0.05, 0.02, 0.02]
const start = [0.5, -1, 2]

/** The gradients are made up, but depend on the parameter, as real ones do. */
const gradientOf = (w: number, step: number, i: number) => Math.sin(3 * w + step) + 0.1 * i

const noNoise = () => {
  throw new Error('no rule asks for noise by itself')
}

/** Runs the rule's fragment, one update a run. */
async function runFragment(
  optimizer: Optimizer,
  settings: OptimizerSettings,
  totalSteps = rates.length,
): Promise<number[][]> {
  const draft = createDraft()
  const literal = (value: number) => draft.constant('literal', float32([value], []))
  const inputs = ['w', 'g', ...optimizer.slots(settings, [3])].map((name) => draft.input(name, 'float32', [3]))
  const learningRate = draft.input('rate', 'float32', [])
  const step = draft.input('step', 'float32', [])
  const [parameter, gradient, ...slots] = inputs
  const shared = optimizer.prepare?.({ draft, settings, literal, step, totalSteps }) ?? {}
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
    noise: noNoise,
  })
  for (const name of [next.parameter, ...next.slots]) draft.output(name, 'float32', [3])
  const session = await onnxruntime.createSession(draft.finish(), { threads: 1 })
  let state: Record<string, Tensor> = { w: float32(start) }
  for (const slot of slots) state[slot] = float32([0, 0, 0])
  const path: number[][] = []
  for (const [i, rate] of rates.slice(0, totalSteps).entries()) {
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

  it.each([
    ['of pairs of steps', 6, 0],
    ['with heavy-ball momentum on the corrections', 6, 0.5],
    ['of an odd number of steps, whose first corrects', 5, 0],
    ['of an odd number of steps with momentum', 5, 0.5],
    ['of one step', 1, 0],
  ])('extra-gradient in a run %s', async (_, total, momentum) => {
    const path = await runFragment(optimizers['extra-gradient'], { momentum, nesterov: false }, total)
    expect(path).toHaveLength(total)
    const anchor = [0, 0, 0]
    const velocity = [0, 0, 0]
    expectPath(path, (w, g, rate, step, i) => {
      const corrects = (total - step) % 2 === 0
      if (!corrects || step === 1) anchor[i] = w
      if (!corrects) return w - rate * g
      velocity[i] = momentum * velocity[i] + g
      return anchor[i] - rate * velocity[i]
    })
  })

  it('extra-gradient goes where the gradient turns around, and plain descent away from it', async () => {
    // L = x y, by x downwards and by y upwards: the gradient turns around the saddle point in the middle.
    const settings = { momentum: 0, nesterov: false }
    const draft = createDraft()
    const [w, g, anchor] = ['w', 'g', 'anchor'].map((name) => draft.input(name, 'float32', [2]))
    const [rate, step] = ['rate', 'step'].map((name) => draft.input(name, 'float32', []))
    const literal = (value: number) => draft.constant('literal', float32([value], []))
    const shared = optimizers['extra-gradient'].prepare!({ draft, settings, literal, step, totalSteps: 40 })
    const next = optimizers['extra-gradient'].update({
      draft,
      parameter: w,
      shape: [2],
      gradient: g,
      slots: [anchor],
      learningRate: rate,
      shared,
      settings,
      literal,
      noise: noNoise,
    })
    for (const name of [next.parameter, ...next.slots]) draft.output(name, 'float32', [2])
    const session = await onnxruntime.createSession(draft.finish(), { threads: 1 })
    let at: Tensor = float32([1, 0])
    let held: Tensor = float32([0, 0])
    for (let i = 1; i <= 40; i++) {
      const [x, y] = at.data as Float32Array
      const feeds = { w: at, g: float32([y, -x]), anchor: held, rate: float32([0.5], []), step: float32([i], []) }
      const results = await session.run(feeds)
      at = results[next.parameter]
      held = results[next.slots[0]]
    }
    await session.close()
    // A pair of steps multiplies by (1 - 1/4) - i/2, whose magnitude is the root of 13/16.
    expect(Math.hypot(...(at.data as Float32Array))).toBeCloseTo((13 / 16) ** 10, 6)
  })

  it.each([
    ["with the paper's coefficients", 0.9, 1 / 8],
    ['with another momentum, rounded to a power of two', 0.6, 1 / 2],
    ['without momentum', 0, 1],
  ])('shift-adamax %s', async (_, momentum, taken) => {
    const path = await runFragment(optimizers['shift-adamax'], { momentum, nesterov: false })
    const m = [0, 0, 0]
    const v = [0, 0, 0]
    const nearest = (x: number) => 2 ** Math.round(Math.log2(x))
    expectPath(path, (w, g, rate, step, i) => {
      m[i] = (1 - taken) * m[i] + taken * g
      v[i] = Math.max((1 - 2 ** -10) * v[i], Math.abs(g))
      return w - (nearest(rate / (1 - (1 - taken) ** step)) * m[i]) / nearest(v[i])
    })
  })

  it('refuse what they cannot do', () => {
    const settings = { momentum: 0.9, nesterov: true }
    for (const optimizer of ['adam', 'extra-gradient', 'shift-adamax'] as const) {
      expect(() => optimizerOf({ ...settings, optimizer })).toThrow(UsageError)
      expect(() => optimizerOf({ ...settings, optimizer })).toThrow(optimizer)
    }
    expect(() => optimizerOf({ momentum: 1, nesterov: false, optimizer: 'shift-adamax' })).toThrow(UsageError)
    const both = { ...settings, gradientSparsity: 0.9, gradientTernary: true }
    expect(() => optimizerOf({ ...both, optimizer: 'sgd' })).toThrow(/both sparse and ternary/)
  })

  it('say who they are', () => {
    for (const [name, optimizer] of Object.entries(optimizers)) {
      expect(optimizer.name).toBe(name)
      expect(optimizer.summary).toMatch(/^[A-Z].*\.$/)
      expect(optimizer.paper.year).toBeGreaterThan(1950)
    }
  })
})
