import { describe, expect, it } from 'vitest'
import { differentiate } from '../../../src/autodiff/gradient.ts'
import { lower } from '../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { ModelError, UnsupportedError, UsageError } from '../../../src/errors.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { noise } from '../../../src/ir/families/noise.ts'
import type { Graph, Model } from '../../../src/ir/model.ts'
import { verify } from '../../../src/ir/verify.ts'
import { float32, int64, scalar } from '../../../src/tensor/tensor.ts'
import { createScene, gradientError, type Scene } from '../../support/central-differences.ts'

const same = { pads: [1, 1, 1, 1] }

const networks: Record<string, (scene: Scene) => string[]> = {
  'multi-layer perceptron with a weight used twice'({ draft, input, loss }) {
    const x = input('x', [3, 4])
    const w = input('w', [4, 4])
    const first = draft.add('Tanh', [draft.add('Gemm', [x, w, input('b', [4])])])
    const second = draft.add('Sigmoid', [draft.add('MatMul', [first, draft.add('Transpose', [w], { perm: [1, 0] })])])
    loss(draft.add('Add', [second, first]), [3, 4])
    return ['x', 'w', 'b']
  },
  'convolutions with normalization in training and pooling'({ draft, input, loss }) {
    const x = input('x', [3, 2, 6, 6])
    const y = draft.add('Conv', [x, input('w', [4, 2, 3, 3]), input('b', [4])], same)
    const [n] = draft.addMany(
      'BatchNormTrain',
      [y, input('scale', [4], 2), input('shift', [4])],
      {},
      { domain: 'espalier', outputs: 3 },
    )
    const pooled = draft.add('MaxPool', [draft.add('Relu', [n])], { kernel_shape: [2, 2], strides: [2, 2] })
    loss(draft.add('GlobalAveragePool', [pooled]), [3, 4, 1, 1])
    return ['x', 'w', 'scale', 'shift']
  },
  'ONNX normalization in training mode, with its running statistics'({ draft, input, loss }) {
    const x = input('x', [3, 2, 3, 2])
    const statistics = [input('mean', [2]), input('variance', [2], 5)]
    const [y, mean] = draft.addMany(
      'BatchNormalization',
      [x, input('scale', [2]), input('shift', [2]), ...statistics],
      { training_mode: 1, momentum: { kind: 'float', value: 0.75 } },
      { outputs: 3 },
    )
    const wide = draft.add('Reshape', [mean, draft.constant('shape', int64([1, 2, 1, 1]))])
    loss(draft.add('Mul', [y, wide]), [3, 2, 3, 2])
    return ['x', 'scale', 'shift', 'mean']
  },
  'residual blocks with a strided branch'({ draft, input, loss }) {
    const x = input('x', [2, 3, 6, 6])
    const stem = draft.add('Relu', [draft.add('Conv', [x, input('w1', [3, 3, 3, 3])], same)])
    const sum = draft.add('Add', [draft.add('Conv', [stem, input('w2', [3, 3, 3, 3])], same), stem])
    const left = draft.add('Conv', [sum, input('w3', [4, 3, 3, 3])], { ...same, strides: [2, 2] })
    const right = draft.add('Conv', [sum, input('w4', [4, 3, 1, 1])], { strides: [2, 2] })
    loss(draft.add('Add', [left, right]), [2, 4, 3, 3])
    return ['x', 'w1', 'w2', 'w3', 'w4']
  },
  'depthwise and transposed convolutions'({ draft, input, loss }) {
    const x = input('x', [2, 3, 5, 5])
    const y = draft.add('Conv', [x, input('w1', [3, 1, 3, 3])], { ...same, group: 3, strides: [2, 2] })
    const up = draft.add('ConvTranspose', [y, input('w2', [3, 2, 2, 2])], { strides: [2, 2] })
    loss(draft.add('LeakyRelu', [up]), [2, 2, 6, 6])
    return ['x', 'w1', 'w2']
  },
  'attention over layer-normalized rows'({ draft, input, loss }) {
    const x = input('x', [2, 3, 4])
    const n = draft.add('LayerNormalization', [x, input('scale', [4]), input('shift', [4])], { axis: -1 })
    const [q, k, v] = ['q', 'k', 'v'].map((name) => draft.add('MatMul', [n, input(name, [4, 4])]))
    const scores = draft.add('Softmax', [draft.add('MatMul', [q, draft.add('Transpose', [k], { perm: [0, 2, 1] })])])
    loss(draft.add('Add', [draft.add('MatMul', [scores, v]), x]), [2, 3, 4])
    return ['x', 'scale', 'shift', 'q', 'k', 'v']
  },
}

describe('differentiate', () => {
  it.each(Object.entries(networks))('%s: equals central differences', async (_, build) => {
    const scene = createScene()
    const names = build(scene)
    const model = scene.draft.finish()
    expect(await gradientError(model, scene.feeds, names)).toBeLessThan(1e-6)
  })

  it('can be applied to its own result: second order of a convolution', async () => {
    const { draft, feeds, input, loss } = createScene()
    const y = draft.add('Conv', [input('x', [1, 2, 5, 5]), input('w', [3, 2, 3, 3])], { ...same, strides: [2, 2] })
    loss(draft.add('Tanh', [y]), [1, 3, 3, 3])
    const first = differentiate(draft.finish(), { loss: 'loss', parameters: ['w'], inputs: ['x'] })
    const outer = createDraft(first.model)
    const squares = ['w', 'x'].map((name) =>
      outer.add('ReduceSumSquare', [first.gradients.get(name)!], { keepdims: 0 }),
    )
    outer.output(outer.add('Add', squares, {}, { outputs: ['norm'] }), 'float64', [])
    expect(await gradientError(outer.finish(), feeds, ['w', 'x'], { loss: 'norm' })).toBeLessThan(1e-6)
  })

  it('takes the branch of an If that was run, and zeros for what that does not read', async () => {
    for (const taken of [true, false]) {
      const { draft, feeds, input, loss } = createScene()
      const [x, w] = [input('x', [2, 3]), input('w', [2, 3])]
      draft.input('condition', 'bool', [])
      feeds['condition'] = scalar('bool', taken)
      const branch = (op: string, inputs: string[]): Graph => {
        const inner = createDraft()
        inner.nodes.push({ name: op, op, domain: '', inputs, outputs: [`${op}_out`], attributes: {} })
        inner.output(`${op}_out`, 'float64', [2, 3])
        return inner.finish({ keepUnused: true }).graph
      }
      const y = draft.add('If', ['condition'], { then_branch: branch('Mul', [x, w]), else_branch: branch('Tanh', [x]) })
      loss(y, [2, 3])
      expect(await gradientError(draft.finish(), feeds, ['x', 'w'])).toBeLessThan(1e-6)
    }
  })

  it('unrolls a Loop with a constant trip count', async () => {
    const { draft, feeds, input, loss } = createScene()
    const [x, w] = [input('x', [2, 3]), input('w', [3, 3])]
    const body = createDraft()
    body.input('i', 'int64', [])
    body.input('going', 'bool', [])
    body.input('state', 'float64', [2, 3])
    body.nodes.push(
      { name: 'm', op: 'MatMul', domain: '', inputs: ['state', w], outputs: ['product'], attributes: {} },
      { name: 't', op: 'Tanh', domain: '', inputs: ['product'], outputs: ['next'], attributes: {} },
    )
    body.output('going', 'bool', [])
    body.output('next', 'float64', [2, 3])
    body.output('product', 'float64', [2, 3])
    const [state, rows] = draft.addMany(
      'Loop',
      [draft.constant('trips', scalar('int64', 3)), undefined, x],
      { body: body.finish({ keepUnused: true }).graph },
      { outputs: 2 },
    )
    const axes = draft.constant('axes', int64([0]))
    loss(draft.add('Add', [state, draft.add('ReduceSum', [rows, axes], { keepdims: 0 })]), [2, 3])
    const model = draft.finish()
    expect(await gradientError(model, feeds, ['x', 'w'])).toBeLessThan(1e-6)
  })

  it('lets gradients through custom functions and inlines local ones', async () => {
    const draft = createDraft()
    draft.opsets.set('espalier', 1).set('local', 1)
    const w = draft.input('w', 'float32', [3])
    const mask = draft.constant('mask', float32([1, 0, 1]))
    const rounded = draft.add('RoundStraightThrough', [w], {}, { domain: 'espalier' })
    const masked = draft.add('MaskedWeight', [rounded, mask], {}, { domain: 'espalier' })
    draft.add(
      'ReduceSum',
      [draft.add('Twice', [masked], {}, { domain: 'local' })],
      { keepdims: 0 },
      { outputs: ['loss'] },
    )
    draft.output('loss', 'float32', [])
    const twice = {
      name: 'Twice',
      domain: 'local',
      inputs: ['a'],
      outputs: ['b'],
      attributes: [],
      attributeDefaults: {},
      nodes: [{ name: 'sum', op: 'Add', domain: '', inputs: ['a', 'a'], outputs: ['b'], attributes: {} }],
      opsets: new Map([['', 21]]),
    }
    const { model, gradients } = differentiate(
      { ...draft.finish(), functions: [twice] },
      { loss: 'loss', parameters: ['w'] },
    )
    const session = await onnxruntime.createSession(model, { purpose: 'training' })
    const results = await session.run({ w: float32([0.4, 1.6, -2.4]) })
    expect(Array.from(results['loss'].data as Float32Array)).toEqual([-4])
    expect(Array.from(results[gradients.get('w')!].data as Float32Array)).toEqual([2, 2, 2])
  })

  it('gives zeros to a parameter that the loss does not depend on, or only through steps', async () => {
    const draft = createDraft()
    const [a, b] = [draft.input('a', 'float32', [2]), draft.input('b', 'float32', [2])]
    draft.add('ReduceSum', [draft.add('Add', [draft.add('Round', [a]), b])], { keepdims: 0 }, { outputs: ['loss'] })
    draft.input('c', 'float32', [3])
    draft.output('loss', 'float32', [])
    const { model, gradients } = differentiate(draft.finish(), { loss: 'loss', parameters: ['a', 'b', 'c'] })
    const session = await referenceEngine.createSession(model)
    const results = await session.run({ a: float32([1, 2]), b: float32([3, 4]), c: float32([5, 6, 7]) })
    const values = (name: string) => Array.from(results[gradients.get(name)!].data as Float32Array)
    expect([values('a'), values('b'), values('c')]).toEqual([
      [0, 0],
      [1, 1],
      [0, 0, 0],
    ])
  })

  it('leaves the model that it was given alone, and a graph that verifies', () => {
    const scene = createScene()
    const names = networks['residual blocks with a strided branch'](scene)
    const model = scene.draft.finish()
    const before = model.graph.nodes.length
    const { model: result } = differentiate(model, { loss: 'loss', parameters: names })
    expect(model.graph.nodes.length).toBe(before)
    expect(verify(result)).toEqual([])
    expect(verify(lower(result))).toEqual([])
  })
})

describe('what differentiate refuses', () => {
  const scalarLoss = (
    build: (draft: ReturnType<typeof createDraft>, x: string) => string,
    size: number | string = 2,
  ) => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', [size, 2])
    draft.add('ReduceSum', [build(draft, x)], { keepdims: 0 }, { outputs: ['loss'] })
    draft.output('loss', 'float32', [])
    return draft.finish()
  }
  const attempt =
    (model: Model, loss = 'loss', parameters = ['x']) =>
    () =>
      differentiate(model, { loss, parameters })

  it('an operator that is unknown, naming the node', () => {
    const model = scalarLoss((draft, x) => draft.add('Mystery', [x], {}, { domain: 'elsewhere', name: 'the culprit' }))
    expect(attempt(model)).toThrow(UnsupportedError)
    expect(attempt(model)).toThrow(/the culprit.*elsewhere\.Mystery is unknown/)
  })

  it('dynamic sizes, with what to do about them', () => {
    const model = scalarLoss((draft, x) => draft.add('Softmax', [x]), 'batch')
    expect(attempt(model)).toThrow(
      expect.objectContaining({ code: 'dynamic-shape', hint: expect.stringMatching(/bind/i) }),
    )
  })

  it('a loss of several elements, and names that are not there', () => {
    const model = scalarLoss((draft, x) => draft.add('Relu', [x]))
    expect(attempt(model, 'x')).toThrow(UsageError)
    expect(attempt(model, 'los')).toThrow(ModelError)
    expect(attempt(model, 'los')).toThrow(expect.objectContaining({ hint: "Did you mean 'loss'?" }))
    expect(attempt(model, 'loss', ['y'])).toThrow(ModelError)
  })
})

describe('training normalization', () => {
  it('does not write into what the caller feeds, nor through equal initializers', async () => {
    const draft = createDraft()
    draft.opsets.set('espalier', 1)
    const x = draft.input('x', 'float32', [4, 2, 3, 3])
    const initial = () => draft.constant('initial', float32([1, 1]))
    let value = x
    for (let i = 0; i < 2; i++)
      [value] = draft.addMany('BatchNormTrain', [value, initial(), initial()], {}, { domain: 'espalier', outputs: 3 })
    draft.output(value, 'float32', [4, 2, 3, 3])
    const model = lower(draft.finish())
    const feeds = { x: noise(3, [4, 2, 3, 3]) }
    const before = feeds.x.data.slice()
    const runs: number[][] = []
    for (const purpose of ['training', 'inference'] as const) {
      const session = await onnxruntime.createSession(model, { purpose })
      for (let i = 0; i < 2; i++) runs.push(Array.from((await session.run(feeds))[value].data as Float32Array))
    }
    expect(feeds.x.data).toEqual(before)
    for (const run of runs) run.forEach((element, i) => expect(element).toBeCloseTo(runs[0][i], 5))
    expect(runs[1]).toEqual(runs[0])
  })
})
