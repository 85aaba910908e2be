import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { constantValues } from '../../../../../src/ir/constant-values.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import { dorefaActivations } from '../../../../../src/methods/quantization/activations/dorefa-activations.ts'
import { qnnActivations } from '../../../../../src/methods/quantization/activations/qnn-activations.ts'
import { signActivations } from '../../../../../src/methods/quantization/activations/sign-activations.ts'
import { onGrid, uniformGrid } from '../../../../../src/methods/quantization/activations/family/uniform-grid.ts'
import { uniformActivations } from '../../../../../src/methods/quantization/activations/uniform-activations.ts'
import { xnorActivations } from '../../../../../src/methods/quantization/activations/xnor-activations.ts'
import { methods } from '../../../../../src/methods/index.ts'
import type { Context, Method, ProofCheck } from '../../../../../src/methods/method.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { createTensor, elementCount, float32 } from '../../../../../src/tensor/tensor.ts'
import { lift } from '../../../../../src/training/lift.ts'
import { trainableParameters } from '../../../../../src/training/parameters.ts'
import { train } from '../../../../../src/training/train.ts'
import { trainingSettings } from '../../../../../src/training/settings.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

interface Told {
  readonly skipped: Map<string, string>
  readonly checks: ProofCheck[]
}

function contextFor(train?: Dataset): Context & Told {
  const skipped = new Map<string, string>()
  const checks: ProofCheck[] = []
  return {
    seed: 5,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.set(layer, reason),
    proved: (check) => checks.push(check),
    training: { epochs: 1, batchSize: 16, learningRate: 0.01 },
    ...(train ? { data: { train, validation: train } } : {}),
    skipped,
    checks,
  }
}

/** Examples given one by one. */
function dataOf(examples: readonly (readonly number[])[], inputShape: readonly number[]): Dataset {
  return {
    name: 'given',
    size: examples.length,
    inputShape,
    classes: 2,
    batch: async (indices) => ({
      inputs: createTensor(
        'float32',
        [indices.length, ...inputShape],
        Float32Array.from(Array.from(indices).flatMap((i) => examples[i])),
      ),
      labels: new Int32Array(indices.length),
    }),
  }
}

async function run(model: Model, x: readonly number[], shape: readonly number[]): Promise<number[]> {
  const session = await onnxruntime.createSession(model)
  const outputs = await session.run({ x: float32(Float32Array.from(x), shape) })
  await session.close()
  return Array.from(toFloat32(Object.values(outputs)[0]))
}

const identity = (n: number) => Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0))

/** Three layers of unit matrices with a ReLU in front of the second one: what the second reads is relu(x). */
function chain(n: number, relu = true): Model {
  const draft = createDraft()
  const unit = (name: string) => draft.constant(name, float32(identity(n), [n, n]))
  const x = draft.input('x', 'float32', ['N', n])
  const a = draft.add('MatMul', [x, unit('w1')], {}, { name: 'one' })
  const b = draft.add('MatMul', [relu ? draft.add('Relu', [a]) : a, unit('w2')], {}, { name: 'two' })
  draft.output(draft.add('MatMul', [b, unit('w3')], {}, { name: 'three' }), 'float32', ['N', n])
  return draft.finish()
}

const apply = (method: Method, model: Model, options: object, context: Context): Promise<Model> =>
  method.apply(model, method.options.parse({ retrain: false, ...options }), context)

const operatorsOf = (model: Model) => model.graph.nodes.map(({ op }) => op)

describe('uniform levels', () => {
  it('rounds to 2^bits values over the observed range, zero among them', async () => {
    const context = contextFor(
      dataOf(
        [
          [0, 1],
          [3, -5],
        ],
        [2],
      ),
    )
    const quantized = await apply(uniformActivations, chain(2), { bits: 2 }, context)
    // relu(x) lies in [0, 3]: levels 0, 1, 2, 3.
    expect(await run(quantized, [0.4, 0.6, 1.7, 9, -1, 2.4], [3, 2])).toEqual([0, 1, 2, 3, 0, 2])
    expect(operatorsOf(quantized)).toEqual([
      'MatMul',
      'Relu',
      'Clip',
      'QuantizeLinear',
      'DequantizeLinear',
      'Clip',
      'MatMul',
      'MatMul',
    ])
    expect([...context.skipped.keys()]).toEqual(['one', 'three'])
    expect(context.checks).toEqual([
      { check: expect.any(String), passed: true, detail: '1 layers read at most 4 values: two' },
    ])
  })

  it('tells of layers that read no negative values any more where they did', async () => {
    const details = async (relu: boolean) => {
      const context = contextFor(dataOf([[-1, 2]], [2]))
      await apply(dorefaActivations, chain(2, relu), { bits: 2 }, context)
      return context.checks[0].detail
    }
    const usual = '1 layers read at most 4 values: two'
    expect(await details(true)).toBe(usual)
    expect(await details(false)).toBe(
      `${usual}; two read negative values before, without a ReLU in front, and now 0 in their place`,
    )
  })

  it('covers negative inputs by a zero point, or symmetrically', async () => {
    const data = dataOf([[-1, 2]], [2])
    const model = chain(2, false)
    const asymmetric = await apply(uniformActivations, model, { bits: 2 }, contextFor(data))
    expect(await run(asymmetric, [-3, -0.4, 0.6, 5], [2, 2])).toEqual([-1, 0, 1, 2])
    const symmetric = await apply(uniformActivations, model, { bits: 2, symmetric: true }, contextFor(data))
    expect(await run(symmetric, [-3, -0.4, 1.2, 5], [2, 2])).toEqual([-2, 0, 2, 2])
  })

  it('leaves out tails, or chooses the range with the least error', async () => {
    const values = Array.from({ length: 999 }, (_, i) => [i / 999])
    const data = dataOf([...values, [100]], [1])
    const top = async (options: object) => {
      const quantized = await apply(
        uniformActivations,
        chain(1),
        { bits: 2, samples: 1000, ...options },
        contextFor(data),
      )
      return (await run(quantized, [1e6], [1, 1]))[0]
    }
    expect(await top({})).toBe(100)
    const percentile = await top({ range: 'percentile', percentile: 99.5 })
    expect(percentile).toBeGreaterThan(0.98)
    expect(percentile).toBeLessThan(1)
    // Independent: the least squared error by brute force over the same shares.
    const numbers = [...values.flat(), 100]
    const error = (high: number) => {
      const step = high / 3
      return numbers.reduce((sum, x) => sum + (x - Math.min(3, Math.round(x / step)) * step) ** 2, 0)
    }
    const tops = Array.from({ length: 100 }, (_, i) => 100 - i)
    const best = tops.toSorted((a, b) => error(a) - error(b))[0]
    expect(await top({ range: 'mse' })).toBeCloseTo(best, 3)
  })

  it('keeps grids: zero is a level, ends lie within a step, and everything lies within half a step', () => {
    const number = fc.double({ min: -1e3, max: 1e3, noNaN: true })
    fc.assert(
      fc.property(number, number, fc.integer({ min: 1, max: 8 }), number, (a, b, bits, x) => {
        const grid = uniformGrid(Math.min(a, b), Math.max(a, b), bits, false)
        if (!grid) return
        expect(onGrid(0, grid)).toBe(0)
        const [low, high] = [Math.min(a, b, 0), Math.max(a, b, 0)]
        const inside = Math.min(high, Math.max(low, x))
        expect(Math.abs(onGrid(inside, grid) - inside)).toBeLessThanOrEqual(grid.scale * 1.0001)
      }),
    )
  })

  it('leaves layers alone whose inputs are always zero', async () => {
    const context = contextFor(dataOf([[-1, -2]], [2]))
    const model = chain(2)
    expect(await apply(uniformActivations, model, {}, context)).toBe(model)
    expect(context.skipped.get('two')).toBe('what it reads is 0 on all calibration examples')
  })

  it('refuses what cannot be', async () => {
    const data = dataOf([[1, 2]], [2])
    const attempt = (options: object, context: Context) => apply(uniformActivations, chain(2), options, context)
    await expect(attempt({}, contextFor())).rejects.toMatchObject({ code: 'no-calibration-data' })
    await expect(attempt({}, contextFor(dataOf([[1, NaN]], [2])))).rejects.toMatchObject({
      code: 'calibration-not-finite',
      place: 'two',
    })
    await expect(attempt({ bits: 1, symmetric: true }, contextFor(data))).rejects.toMatchObject({
      code: 'symmetric-bits',
      place: 'two',
    })
    expect(() => uniformActivations.options.parse({ bits: 9 })).toThrow()
    expect(() => uniformActivations.options.parse({ bits: 0 })).toThrow()
  })

  it('has options for single layers, and quantizes the ends when asked', async () => {
    const data = dataOf([[0, 3]], [2])
    const options = { bits: 2, ends: true, layers: { three: { bits: 1 } } }
    const context = contextFor(data)
    const quantized = await apply(uniformActivations, chain(2), options, context)
    expect(context.skipped.size).toBe(0)
    expect(await run(quantized, [1.2, 1.9], [1, 2])).toEqual([0, 3])
    expect(context.checks[0].detail).toBe('3 layers read at most 2 or 4 values: one, two, three')
  })

  it('does nothing to what is quantized already', async () => {
    const data = dataOf([[0, 3]], [2])
    const once = await apply(uniformActivations, chain(2), { bits: 2 }, contextFor(data))
    const context = contextFor(data)
    expect(await apply(uniformActivations, once, { bits: 2 }, context)).toBe(once)
    expect(context.skipped.get('two')).toBe('what it reads is quantized already')
  })
})

describe('values of a paper', () => {
  it('takes signs of what is in front of the ReLU, zero counting as positive', async () => {
    const quantized = await apply(signActivations, chain(2), {}, contextFor())
    expect(await run(quantized, [-2, 0, 0.1, -0], [2, 2])).toEqual([-1, 1, 1, 1])
    expect(operatorsOf(quantized)).not.toContain('Relu')
  })

  it('clips to [0, 1] and rounds to k bits (DoReFa)', async () => {
    const quantized = await apply(dorefaActivations, chain(2), { bits: 2 }, contextFor())
    const found = await run(quantized, [-2, 0.2, 0.6, 3], [2, 2])
    for (const [i, value] of [0, 1 / 3, 2 / 3, 1].entries()) expect(found[i]).toBeCloseTo(value, 6)
    expect(operatorsOf(quantized)).not.toContain('Relu')
  })

  it('rounds to fixed point numbers', async () => {
    const data = dataOf([[0.5, 3]], [2])
    const quantized = await apply(qnnActivations, chain(2), { bits: 3 }, contextFor(data))
    // The range is 4 and the step 1/2.
    expect(await run(quantized, [0.7, 1.3, 3.4, 8], [2, 2])).toEqual([0.5, 1.5, 3.5, 3.5])
    const signed = await apply(qnnActivations, chain(2, false), { bits: 3 }, contextFor(dataOf([[-3, 1]], [2])))
    expect(await run(signed, [-9, -0.6, 1.4, 9], [2, 2])).toEqual([-4, -1, 1, 3])
  })

  it('rounds to powers of two, and what is below half of the smallest to zero', async () => {
    const data = dataOf([[0.5, 4.2]], [2])
    const options = { bits: 2, scheme: 'logarithmic' }
    const quantized = await apply(qnnActivations, chain(2), options, contextFor(data))
    // Powers 1, 2, 4; the border between 1 and 2 is the square root of 2.
    expect(await run(quantized, [0.4, 0.6, 1.4, 1.5, 3, 99], [3, 2])).toEqual([0, 1, 1, 2, 4, 4])
    const signed = await apply(
      qnnActivations,
      chain(2, false),
      { ...options, bits: 3 },
      contextFor(dataOf([[-4, 1]], [2])),
    )
    expect(await run(signed, [-99, -0.6, -0.4, 1.5], [2, 2])).toEqual([-4, -1, 0, 2])
    // A later training goes straight through the whole range, which is wider than that of signs.
    const { nodes, initializers } = lift(signed).graph
    const step = nodes.find(({ op }) => op === 'StepFunction')!
    expect(step.attributes.gradient).toBeUndefined()
    expect(toFloat32(initializers.get(step.inputs[1])!)[0]).toBe(-4)
  })
})

describe('scale maps of XNOR-Net', () => {
  const random = createRandom(8)
  const normal = (shape: readonly number[]) =>
    float32(
      Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
      shape,
    )

  it.each([
    { groups: 1, out: 4, strides: 1, pad: 1 },
    { groups: 1, out: 3, strides: 2, pad: 0 },
    { groups: 4, out: 4, strides: 1, pad: 1 },
    { groups: 4, out: 8, strides: 1, pad: 0 },
    { groups: 2, out: 6, strides: 2, pad: 1 },
  ])('multiplies sign(I) * W by K, then adds the bias: %o', async ({ groups, out, strides, pad }) => {
    const [channels, size] = [4, 5]
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', channels, size, size])
    const unit = float32(identity(channels), [channels, channels, 1, 1])
    const first = draft.add('Conv', [x, draft.constant('unit', unit)], {}, { name: 'first' })
    const weight = normal([out, channels / groups, 3, 3])
    const bias = normal([out])
    const attributes = { group: groups, strides: [strides, strides], pads: [pad, pad, pad, pad] }
    const inputs = [draft.add('Relu', [first]), draft.constant('weight', weight), draft.constant('bias', bias)]
    const conv = draft.add('Conv', inputs, attributes, { name: 'middle' })
    const last = draft.constant('last', float32(identity(out), [out, out, 1, 1]))
    draft.output(draft.add('Conv', [conv, last], {}, { name: 'last' }), 'float32')
    const quantized = await apply(xnorActivations, draft.finish(), {}, contextFor())

    const image = Array.from({ length: channels * size * size }, () => random.normal())
    const found = await run(quantized, image, [1, channels, size, size])
    const windows = Math.floor((size + 2 * pad - 3) / strides) + 1
    const perGroup = channels / groups
    const expected: number[] = []
    for (let o = 0; o < out; o++) {
      const group = Math.floor(o / (out / groups))
      for (let r = 0; r < windows; r++)
        for (let c = 0; c < windows; c++) {
          let [sum, scale] = [0, 0]
          for (let k = 0; k < perGroup; k++)
            for (let i = 0; i < 3; i++)
              for (let j = 0; j < 3; j++) {
                const [row, column] = [r * strides + i - pad, c * strides + j - pad]
                if (row < 0 || column < 0 || row >= size || column >= size) continue
                const value = image[((group * perGroup + k) * size + row) * size + column]
                sum += (value >= 0 ? 1 : -1) * weight.data[((o * perGroup + k) * 3 + i) * 3 + j]
                scale += Math.abs(value) / perGroup / 9
              }
          expected.push(sum * scale + bias.data[o])
        }
    }
    expect(found).toHaveLength(expected.length)
    for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 4)
    expect(trainableParameters(quantized)).toContain('bias.along')
  })

  it('takes one mean for each row of a dense layer; without scales there is none', async () => {
    const scaled = await apply(xnorActivations, chain(2), {}, contextFor())
    expect(await run(scaled, [-1, 3, 0.5, 0.5], [2, 2])).toEqual([-2, 2, 0.5, 0.5])
    const plain = await apply(xnorActivations, chain(2), { scales: false }, contextFor())
    expect(await run(plain, [-1, 3, 0.5, 0.5], [2, 2])).toEqual([-1, 1, 1, 1])
  })
})

describe('graphs with more than one way', () => {
  it('keeps the ReLU for other readers, and reads in front of it', async () => {
    const { model } = tinyModels().find(({ name }) => name === 'residual')!
    const quantized = await apply(signActivations, model, {}, contextFor())
    const branch = layers(quantized).find(({ name }) => name === 'branch')!
    const where = quantized.graph.nodes.find(({ outputs }) => outputs[0] === branch.node.inputs[0])!
    expect(where.op).toBe('Where')
    // The sum still reads the ReLU, and the sign reads what the ReLU reads.
    const relu = quantized.graph.nodes.find(({ op }) => op === 'Relu')!
    const compare = quantized.graph.nodes.find(({ outputs }) => outputs[0] === where.inputs[0])!
    expect(compare.inputs[0]).toBe(relu.inputs[0])
    expect(quantized.graph.nodes.find(({ op }) => op === 'Add')!.inputs).toContain(relu.outputs[0])
  })

  it('writes one quantizer for layers that read the same value alike', async () => {
    const draft = createDraft()
    const weight = (name: string) => draft.constant(name, float32(identity(2), [2, 2]))
    const x = draft.input('x', 'float32', ['N', 2])
    const shared = draft.add('Relu', [draft.add('MatMul', [x, weight('w0')], {}, { name: 'stem' })])
    const [left, right] = ['left', 'right'].map((name) =>
      draft.add('MatMul', [shared, weight(`w-${name}`)], {}, { name }),
    )
    const sum = draft.add('Add', [left, right])
    draft.output(draft.add('MatMul', [sum, weight('w3')], {}, { name: 'last' }), 'float32', ['N', 2])
    const model = draft.finish()
    const data = dataOf([[1, 3]], [2])
    const count = (quantized: Model) => operatorsOf(quantized).filter((op) => op === 'QuantizeLinear').length
    expect(count(await apply(uniformActivations, model, {}, contextFor(data)))).toBe(1)
    const layersOptions = { layers: { left: { bits: 4 } } }
    expect(count(await apply(uniformActivations, model, layersOptions, contextFor(data)))).toBe(2)
  })

  it('rebuilds pooling, Flatten and Concat between the ReLU and the layer', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', 1, 2, 2])
    const unit = draft.constant('unit', float32([1], [1, 1, 1, 1]))
    const a = draft.add('Conv', [x, unit], {}, { name: 'stem' })
    const both = draft.add('Concat', [draft.add('Relu', [a]), draft.add('Relu', [draft.add('Neg', [a])])], { axis: 1 })
    const flat = draft.add('Flatten', [draft.add('MaxPool', [both], { kernel_shape: [2, 2] })], { axis: 1 })
    const b = draft.add('MatMul', [flat, draft.constant('w', float32(identity(2), [2, 2]))], {}, { name: 'two' })
    draft.output(draft.add('MatMul', [b, draft.constant('v', float32(identity(2), [2, 2]))]), 'float32', ['N', 2])
    const quantized = await apply(signActivations, draft.finish(), {}, contextFor())
    expect(await run(quantized, [1, 2, 3, 4], [1, 1, 2, 2])).toEqual([1, -1])
    expect(operatorsOf(quantized)).not.toContain('Relu')
    expect(operatorsOf(quantized).filter((op) => op === 'MaxPool')).toHaveLength(1)
  })
})

describe('what onnxruntime makes of it', () => {
  /** By the operators' own reference evaluation, with the input as a constant. */
  function reference(model: Model, x: readonly number[], shape: readonly number[]): number[] {
    const initializers = new Map(model.graph.initializers).set('x', float32(Float32Array.from(x), shape))
    const closed = { ...model, graph: { ...model.graph, inputs: [], initializers } }
    return Array.from(toFloat32(constantValues(closed)(model.graph.outputs[0].name)!))
  }

  const names = ['uniform-activations', 'sign-activations', 'xnor-activations', 'dorefa-activations', 'qnn-activations']
  const tinies = tinyModels().filter(({ trainable, name }) => trainable && !name.includes('sub-graph'))
  const cases = tinies.flatMap((tiny) => names.map((name) => ({ tiny, name, label: `${name}, ${tiny.name}` })))

  it.each(cases)('is what the operators say, with integer weights too, and lifted: $label', async ({ tiny, name }) => {
    const data = patternData({ size: 16, seed: 1, classes: tiny.classes, inputShape: tiny.inputShape })
    const own = name === 'uniform-activations' ? { bits: 8 } : {}
    const quantized = await apply(methods.get(name)!, tiny.model, { ...own, ends: true }, contextFor(data))
    const uniform = methods.get('uniform')!
    const integers = await uniform.apply(quantized, uniform.options.parse({ bits: 8, retrain: false }), contextFor())
    const random = createRandom(6)
    const x = Array.from({ length: 4 * elementCount(tiny.inputShape) }, () => random.normal())
    const shape = [4, ...tiny.inputShape]
    // Sums of signs with integer weights are often exactly 0, and which way they are rounded decides the next sign.
    const exact = name === 'xnor-activations' || name === 'sign-activations' ? [quantized] : [quantized, integers]
    for (const model of exact) {
      const expected = reference(model, x, shape)
      const largest = Math.max(...expected.map(Math.abs))
      for (const form of [model, lift(model)]) {
        const found = await run(form, x, shape)
        for (const [i, value] of expected.entries()) expect(Math.abs(found[i] - value) / largest).toBeLessThan(1e-5)
      }
    }
  })
})

describe('training', () => {
  const [, cnn] = tinyModels()
  const data = patternData({ size: 48, seed: 1, classes: cnn.classes, inputShape: cnn.inputShape })

  it.each(['sign-activations', 'xnor-activations', 'dorefa-activations', 'uniform-activations', 'qnn-activations'])(
    'sees the quantizers, moves every layer, and does so again on the exported model: %s',
    async (name) => {
      const method = methods.get(name)!
      const context = contextFor(data)
      const trained = await method.apply(cnn.model, method.options.parse({}), context)
      expect(context.checks.map(({ passed }) => passed)).toEqual([true])
      const weights = ['conv1.weight', 'conv2.weight', 'fc.weight']
      const of = (model: Model, weight: string) => toFloat32(model.graph.initializers.get(weight)!)
      for (const weight of weights) expect(of(trained, weight), weight).not.toEqual(of(cnn.model, weight))
      const settings = trainingSettings.parse({ epochs: 1, batchSize: 16, learningRate: 0.01 })
      const options = { data, settings, engine: onnxruntime, seed: 3 }
      const again = (await train(trained, options)).model
      expect(of(again, 'conv1.weight'), 'the gradient goes through').not.toEqual(of(trained, 'conv1.weight'))
      // Ranges and levels are no parameters.
      for (const [initializer, tensor] of trained.graph.initializers)
        if (tensor.shape.length === 0) expect(again.graph.initializers.get(initializer)).toEqual(tensor)
    },
    30_000,
  )
})
