import { describe, expect, it } from 'vitest'
import { differentiate } from '../../../../src/autodiff/gradient.ts'
import { lower } from '../../../../src/autodiff/lower.ts'
import { subset } from '../../../../src/datasets/dataset.ts'
import { openData } from '../../../../src/datasets/open.ts'
import { onnxruntime as engine } from '../../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../../src/engines/reference.ts'
import { ModelError } from '../../../../src/errors.ts'
import { createDraft } from '../../../../src/ir/draft.ts'
import { firstExponent, toFlexpoint, type FlexpointFormat } from '../../../../src/ir/families/flexpoint.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { float32, identical, type Tensor } from '../../../../src/tensor/tensor.ts'
import { autoflex, autoflexStart, type AutoflexState } from '../../../../src/training/arithmetic/autoflex.ts'
import { readCheckpoint } from '../../../../src/training/checkpoint.ts'
import { evaluate } from '../../../../src/training/evaluate.ts'
import { trainingSettings } from '../../../../src/training/settings.ts'
import { train, type TrainOptions } from '../../../../src/training/train.ts'
import { buildNetwork } from '../../../../src/zoo/layers.ts'
import { patternData } from '../../../support/small-data.ts'

const paper: FlexpointFormat = { mantissa: 16, exponent: 5 }
const numbers = (tensor: Tensor) => [...(tensor.data as Float32Array)]

/** Runs Autoflex over magnitudes `[step][tensor]`; the states after each step. */
async function byGraph(format: FlexpointFormat, magnitudes: readonly (readonly number[])[]) {
  const draft = createDraft()
  const count = magnitudes[0].length
  let state = autoflexStart(Array.from({ length: count }, () => -1))
  const input = (name: string, { shape }: Tensor) => draft.input(name, 'float32', shape)
  const before = {
    exponents: input('exponents', state.exponents),
    maxima: input('maxima', state.maxima),
    overflows: input('overflows', state.overflows),
  }
  const literal = (value: number) => draft.constant('literal', float32([value], []))
  const next = autoflex(draft, format, before, draft.input('magnitudes', 'float32', [count]), literal)
  for (const name of Object.values(next)) draft.output(name, 'float32')
  const session = await engine.createSession(draft.finish(), { threads: 1 })
  const states: AutoflexState<Tensor>[] = []
  for (const step of magnitudes) {
    const results = await session.run({ ...state, magnitudes: float32(step) })
    state = {
      exponents: results[next.exponents],
      maxima: results[next.maxima],
      overflows: results[next.overflows],
    }
    states.push(state)
  }
  await session.close()
  return states
}

/** Algorithm 2 of the paper for one tensor, with a list for the deque. */
function byHand({ mantissa, exponent }: FlexpointFormat, magnitudes: readonly number[]) {
  const largest = 2 ** (mantissa - 1) - 1
  const clamp = (e: number) => Math.min(2 ** exponent - 1, Math.max(0, e))
  let e = -1
  let deque: number[] = []
  let overflows = 0
  return magnitudes.map((magnitude) => {
    if (e < 0 && magnitude > 0) e = clamp(mantissa - 2 - Math.ceil(Math.log2(magnitude)))
    if (e < 0) return { e, overflows }
    const scale = 2 ** -e
    let gamma = Math.min(largest, Math.round(magnitude / scale))
    if (gamma >= largest) {
      deque = []
      overflows++
      gamma *= 2
    }
    deque = [...deque, gamma * scale].slice(-16)
    const mean = deque.reduce((sum, value) => sum + value, 0) / deque.length
    const variance = deque.reduce((sum, value) => sum + (value - mean) ** 2, 0) / deque.length
    const predicted = 2 * (mean + 3 * Math.sqrt(variance) + 100 * 2 ** (mantissa - 16) * scale)
    e = clamp(mantissa - 1 - Math.ceil(Math.log2(predicted)))
    return { e, overflows }
  })
}

describe('rounding to flexpoint', () => {
  it('gives whole mantissas in range, and is exact for what the format can say', () => {
    const random = createRandom(1)
    for (let i = 0; i < 2000; i++) {
      const x = random.normal() * 2 ** (random.integer(40) - 20)
      const e = random.integer(32)
      const mantissa = toFlexpoint(x, e, paper) * 2 ** e
      expect(Number.isInteger(mantissa)).toBe(true)
      expect(Math.abs(mantissa)).toBeLessThanOrEqual(32767)
      if (Math.abs(x) < 32767 / 2 ** e) expect(Math.abs(mantissa - x * 2 ** e)).toBeLessThanOrEqual(0.5)
      expect(toFlexpoint(mantissa / 2 ** e, e, paper)).toBe(mantissa / 2 ** e)
    }
  })

  it('starts where the largest mantissa takes all but one bit', () => {
    for (const maximum of [0.7, 1, 3, 1000, 0.001]) {
      const mantissa = maximum * 2 ** firstExponent(maximum, paper)
      expect(mantissa).toBeGreaterThan(2 ** 13)
      expect(mantissa).toBeLessThanOrEqual(2 ** 14)
    }
    expect(firstExponent(1e-9, paper)).toBe(31)
    expect(firstExponent(1e9, paper)).toBe(0)
  })

  it('rounds a gradient, and says how large it was', async () => {
    const draft = createDraft()
    const x = draft.constant('x', float32([1, 2, 3]))
    const probe = draft.constant('probe', float32([0], []))
    const exponent = draft.constant('exponent', float32([1], []))
    const handed = draft.add('espalier.FlexpointGradient', [x, exponent, probe], { mantissa: 4, exponent: 3 })
    const weighted = draft.add('Mul', [handed, draft.constant('weights', float32([0.3, -1.2, 9]))])
    const loss = draft.add('ReduceSum', [weighted], { keepdims: 0 })
    draft.output(loss, 'float32', [])
    const { model, gradients } = differentiate(draft.finish(), { loss, parameters: [x, probe] })
    const results = await (await referenceEngine.createSession(lower(model))).run({})
    expect(numbers(results[gradients.get(x)!])).toEqual([0.5, -1, 3.5])
    expect(numbers(results[gradients.get(probe)!])).toEqual([9])
  })
})

describe('Autoflex', () => {
  it.each([paper, { mantissa: 8, exponent: 5 }])('does what algorithm 2 says, for %o', async (format) => {
    const random = createRandom(7)
    const tensors = [
      Array.from({ length: 60 }, () => Math.exp(random.normal())),
      Array.from({ length: 60 }, (_, i) => 0.013 * 1.3 ** i),
      Array.from({ length: 60 }, (_, i) => (i < 5 ? 0 : i % 20 === 19 ? 900.3 : 0.37 + 0.01 * i)),
      Array.from({ length: 60 }, (_, i) => 5.1 * 0.7 ** i),
      Array.from({ length: 60 }, () => 0),
    ].map((values) => values.map(Math.fround))
    const states = await byGraph(
      format,
      Array.from({ length: 60 }, (_, i) => tensors.map((values) => values[i])),
    )
    for (const [t, values] of tensors.entries()) {
      const expected = byHand(format, values)
      expect(states.map(({ exponents }) => numbers(exponents)[t])).toEqual(expected.map(({ e }) => e))
      expect(states.map(({ overflows }) => numbers(overflows)[t])).toEqual(expected.map(({ overflows }) => overflows))
    }
  })

  it('follows a growing tensor without overflow, and counts a jump', async () => {
    const growing = Array.from({ length: 100 }, (_, i) => 1e-3 * 1.1 ** i)
    const jumping = growing.map((_, i) => (i === 50 ? 1000 : 0.3))
    const states = await byGraph(
      paper,
      growing.map((value, i) => [value, jumping[i]]),
    )
    const after = states.at(-1)!
    expect(numbers(after.overflows)).toEqual([0, 1])
    states.slice(0, -1).forEach(({ exponents }, i) => {
      const mantissa = growing[i + 1] * 2 ** numbers(exponents)[0]
      expect(mantissa).toBeLessThan(32767)
      expect(mantissa).toBeGreaterThan(2 ** 11)
    })
  })
})

function small(): Model {
  return buildNetwork('small', 4, [1, 8, 8], 4, (layers, input) => {
    const map = layers.relu(layers.batchNorm(layers.convolution(input, 'conv', 1, 4, 3, { padding: 1 }), 'norm', 4))
    return layers.linear(layers.flatten(layers.maxPool(map, 2)), 'fc', 64, 4)
  })
}

const data = patternData({ size: 72, seed: 1, classes: 4, inputShape: [1, 8, 8] })

function run(settings: object, options: Partial<TrainOptions> = {}, model = small()) {
  const parsed = trainingSettings.parse({ epochs: 3, batchSize: 16, flexpoint: 16, ...settings })
  return train(model, { data, settings: parsed, engine, seed: 3, ...options })
}

describe('training in flexpoint', () => {
  it('keeps parameters on whole mantissas within range after each step', async () => {
    const steps: ReadonlyMap<string, Tensor>[] = []
    const store = {
      read: async () => undefined,
      write: async (bytes: Uint8Array) => void steps.push(readCheckpoint(bytes).state),
    }
    const { history } = await run(
      { flexpoint: 12 },
      { checkpoint: { store, everySeconds: 0 }, stepsPerRun: 1, validation: data },
    )
    expect(steps.length).toBeGreaterThan(10)
    const names = ['conv.weight', 'conv.bias', 'norm.weight', 'norm.bias', 'fc.weight', 'fc.bias']
    let compared = 0
    for (let i = 1; i < steps.length; i++) {
      // An epoch's end is written too, without a step in front of it.
      if (identical(steps[i].get('fc.weight')!, steps[i - 1].get('fc.weight')!)) continue
      const exponents = numbers(steps[i - 1].get('flexpoint.exponents')!)
      expect(exponents.every((e) => Number.isInteger(e) && e >= -1 && e <= 31)).toBe(true)
      for (const name of names) {
        // The parameters are the last tensors, in the order in which the graph reads them.
        const e = exponents.at(names.indexOf(name) - names.length)!
        expect(e).toBeGreaterThanOrEqual(0)
        const mantissas = numbers(steps[i].get(name)!).map((value) => value * 2 ** e)
        expect(mantissas.every((m) => Number.isInteger(m) && Math.abs(m) <= 2047)).toBe(true)
        compared++
      }
    }
    expect(compared).toBeGreaterThan(50)
    const total = numbers(steps.at(-1)!.get('flexpoint.overflows')!).reduce((sum, count) => sum + count, 0)
    expect(history.reduce((sum, { overflows }) => sum + overflows!, 0)).toBe(total)
  })

  it('goes on after a kill with the same bits: exponents and maxima are part of the checkpoint', async () => {
    const whole = await run({}, { stepsPerRun: 2 })
    let kept: Uint8Array | undefined
    const controller = new AbortController()
    const store = {
      read: async () => kept,
      write: async (bytes: Uint8Array) => {
        kept = bytes
        controller.abort()
      },
    }
    const stopped = run({}, { checkpoint: { store, everySeconds: 0 }, signal: controller.signal, stepsPerRun: 2 })
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
    const goesOn = { store: { read: async () => kept, write: async () => {} } }
    const resumed = await run({}, { checkpoint: goesOn, stepsPerRun: 2 })
    expect(resumed.steps).toBe(whole.steps)
    for (const [name, tensor] of whole.model.graph.initializers)
      expect(identical(resumed.model.graph.initializers.get(name)!, tensor), name).toBe(true)
    expect(resumed.history).toEqual(whole.history)
  })

  it('is float32 training with 24 bits, near enough, and something else with 6', async () => {
    const loss = async (settings: object) => (await run(settings)).history.at(-1)!.loss
    const plain = await loss({ flexpoint: undefined })
    expect(await loss({ flexpoint: 24 })).toBeCloseTo(plain, 3)
    expect(Math.abs((await loss({ flexpoint: 6 })) - plain)).toBeGreaterThan(1e-3)
  })

  it('trains the digits as well as float32 does', async () => {
    const digits = await openData('digits', { seed: 1 })
    const few = (count: number) => Uint32Array.from({ length: count }, (_, i) => i)
    const [train, test] = [subset(digits.train, few(2000)), subset(digits.test, few(1000))]
    const model = buildNetwork('perceptron', 1, [1, 28, 28], 10, (layers, input) => {
      const hidden = layers.relu(layers.linear(layers.flatten(input), 'hidden', 784, 64))
      return layers.linear(hidden, 'output', 64, 10)
    })
    const settings = { epochs: 5, batchSize: 20, learningRate: 0.03 }
    const errorOf = async (more: object) => {
      const { model: trained, history } = await run({ ...settings, ...more }, { data: train }, model)
      return { error: (await evaluate(trained, test, engine)).error, overflows: history.at(-1)!.overflows }
    }
    const [plain, flex] = [await errorOf({ flexpoint: undefined }), await errorOf({ flexpoint: 16 })]
    console.log(`error on digits: ${plain.error} in float32, ${flex.error} in flex16+5, ${flex.overflows} overflows`)
    expect(plain.error).toBeLessThan(0.1)
    expect(flex.error).toBeLessThan(plain.error + 0.01)
    expect(plain.overflows).toBeUndefined()
  }, 60_000)

  it('refuses bits out of range and parameters that are not finite', async () => {
    for (const settings of [{ flexpoint: 3 }, { flexpoint: 25 }, { flexpoint: 16, flexpointExponent: 7 }])
      expect(trainingSettings.safeParse(settings).success).toBe(false)
    const model = small()
    const weight = model.graph.initializers.get('fc.weight')!
    const broken = new Map(model.graph.initializers)
    broken.set(
      'fc.weight',
      float32(Float32Array.from(weight.data as Float32Array).fill(Number.NaN, 0, 1), weight.shape),
    )
    const refused = run({}, {}, { ...model, graph: { ...model.graph, initializers: broken } })
    await expect(refused).rejects.toThrow(ModelError)
    await expect(refused).rejects.toThrow(/fc\.weight/)
  })
})
