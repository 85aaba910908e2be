import { describe, expect, it } from 'vitest'
import { cutDeadChannels } from '../../../src/ir/cut-dead.ts'
import { createDraft, float } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { layers } from '../../../src/ir/rewrite.ts'
import { verify } from '../../../src/ir/verify.ts'
import { fromNumbers, toNumbers } from '../../../src/tensor/elements.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { elementCount, float32, scalar } from '../../../src/tensor/tensor.ts'
import { lenet300100 } from '../../../src/zoo/lenet-300-100.ts'
import { lenet5 } from '../../../src/zoo/lenet-5.ts'
import { resnet20 } from '../../../src/zoo/resnet.ts'
import { largestDifference, runOnce } from '../../support/channel-cuts.ts'
import { randomFeeds } from '../../support/random-feeds.ts'

/** The model with every vector random, as after training. */
function shaken(model: Model, seed: number): Model {
  const random = createRandom(seed)
  const draft = createDraft(model)
  for (const [name, tensor] of model.graph.initializers)
    if (tensor.dtype === 'float32' && tensor.shape.length === 1) {
      const values = toNumbers(tensor).map(() => (name.includes('var') ? 0.5 + random.uniform() : random.normal()))
      draft.initializers.set(name, fromNumbers('float32', tensor.shape, values))
    }
  return draft.finish()
}

/** Sets the weights of some filters, and those that read some channels, to zero. */
function withZeros(
  model: Model,
  zeros: Readonly<Record<string, { filters?: readonly number[]; channels?: readonly number[] }>>,
): Model {
  const draft = createDraft(model)
  for (const [name, { filters = [], channels = [] }] of Object.entries(zeros)) {
    const layer = layers(model).find((each) => each.name === name)!
    const tensor = model.graph.initializers.get(layer.weight)!
    const inner = elementCount(tensor.shape.slice(2))
    const values = toNumbers(tensor).map((value, i) =>
      filters.includes(Math.floor(i / (inner * tensor.shape[1]))) ||
      channels.includes(Math.floor(i / inner) % tensor.shape[1])
        ? 0
        : value,
    )
    draft.initializers.set(layer.weight, fromNumbers(tensor.dtype, tensor.shape, values))
  }
  return draft.finish()
}

/** Writes every weight as codes: an even grid behind DequantizeLinear, or a codebook behind Gather. */
function coded(model: Model, form: 'grid' | 'codebook'): Model {
  const draft = createDraft(model)
  for (const { weight } of layers(model)) {
    const values = toNumbers(model.graph.initializers.get(weight)!)
    const { shape } = model.graph.initializers.get(weight)!
    const step = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 100
    const codes = values.map((value) => Math.round(value / step))
    const make = () => {
      if (form === 'grid')
        return draft.add('DequantizeLinear', [
          draft.constant(`${weight}.codes`, fromNumbers('int8', shape, codes)),
          draft.constant(`${weight}.scale`, scalar('float32', step)),
        ])
      const indices = draft.constant(
        `${weight}.indices`,
        fromNumbers(
          'uint8',
          shape,
          codes.map((code) => code + 100),
        ),
      )
      const codebook = Float32Array.from({ length: 201 }, (_, i) => (i - 100) * step)
      return draft.add('Gather', [
        draft.constant(`${weight}.codebook`, float32(codebook)),
        draft.add('Cast', [indices], { to: 6 }),
      ])
    }
    draft.redirect(weight, make())
  }
  return draft.finish()
}

async function expectSame(model: Model, cut: Model): Promise<void> {
  expect(verify(cut)).toEqual([])
  const feeds = randomFeeds(model, 3)
  expect(largestDifference(await runOnce(model, feeds), await runOnce(cut, feeds))).toBeLessThanOrEqual(1e-5)
}

const shapeOf = (model: Model, layer: string) => {
  const { weight } = layers(model).find(({ name }) => name === layer)!
  return model.graph.initializers.get(weight)!.shape
}

const forms = [
  ['plain weights', (model: Model) => model],
  ['codes behind DequantizeLinear', (model: Model) => coded(model, 'grid')],
  ['indices of a codebook', (model: Model) => coded(model, 'codebook')],
] as const

describe.each(forms)('dead channels of %s', (_, form) => {
  it('of LeNet-5 are cut, filters of zeros and filters that nobody reads', async () => {
    const features = Array.from({ length: 16 }, (_, i) => 7 * 16 + i)
    const zeros = {
      conv1: { filters: [0, 5, 19] },
      conv2: { filters: [3], channels: [8] },
      fc1: { filters: [11, 499], channels: features },
      fc2: { channels: [20] },
    }
    const model = form(withZeros(shaken(lenet5({ seed: 1 }), 2), zeros))
    const { model: cut, removed, left } = cutDeadChannels(model)
    expect(Object.fromEntries(removed.map(({ layer, channels }) => [layer, channels]))).toEqual({
      conv1: [0, 5, 8, 19],
      conv2: [3, 7],
      fc1: [11, 20, 499],
    })
    expect(left).toEqual([])
    expect(shapeOf(cut, 'conv1')).toEqual([16, 1, 5, 5])
    expect(shapeOf(cut, 'conv2')).toEqual([48, 16, 5, 5])
    expect(shapeOf(cut, 'fc1')).toEqual([497, 768])
    await expectSame(model, cut)
  })

  it('of LeNet-300-100 are cut, and those that become dead by it', async () => {
    // Neuron 4 of fc2 reads only neuron 9 of fc1, which is constant.
    let model = withZeros(shaken(lenet300100({ seed: 1 }), 2), { fc1: { filters: [9, 100] }, fc3: { channels: [50] } })
    const draft = createDraft(model)
    const weight = layers(model).find(({ name }) => name === 'fc2')!.weight
    const tensor = model.graph.initializers.get(weight)!
    const values = toNumbers(tensor).map((value, i) => (Math.floor(i / 300) === 4 && i % 300 !== 9 ? 0 : value))
    draft.initializers.set(weight, fromNumbers('float32', tensor.shape, values))
    model = form(draft.finish())
    const { model: cut, removed } = cutDeadChannels(model)
    expect(removed).toEqual([
      { layer: 'fc1', channels: [9, 100] },
      { layer: 'fc2', channels: [4, 50] },
    ])
    await expectSame(model, cut)
  })

  it('of ResNet-20 are cut inside blocks and, where all layers agree, in the residual stream', async () => {
    let model = shaken(resnet20({ seed: 1 }), 2)
    // What BatchNormalization makes of a filter of zeros goes through a ReLU and then a padded convolution.
    const draft = createDraft(model)
    const shift = model.graph.initializers.get('layer1.0.bn1.bias')!
    draft.initializers.set(
      'layer1.0.bn1.bias',
      fromNumbers('float32', shift.shape, toNumbers(shift).with(2, -1).with(3, 1)),
    )
    const mean = model.graph.initializers.get('layer1.0.bn1.running_mean')!
    draft.initializers.set('layer1.0.bn1.running_mean', fromNumbers('float32', mean.shape, toNumbers(mean).fill(0)))
    model = form(
      withZeros(draft.finish(), {
        'layer1.0.conv1': { filters: [2, 3] },
        'layer2.1.conv2': { channels: [30] },
        'layer3.1.conv1': { channels: [0] },
        'layer3.2.conv1': { channels: [0] },
        linear: { channels: [0] },
      }),
    )
    const { model: cut, removed, left } = cutDeadChannels(model)
    expect(Object.fromEntries(removed.map(({ layer, channels }) => [layer, channels]))).toEqual({
      'layer1.0.conv1': [2],
      'layer2.1.conv1': [30],
      'layer3.0.conv2': [0],
      'layer3.1.conv2': [0],
      'layer3.2.conv2': [0],
    })
    expect(left).toEqual([
      {
        layer: 'layer1.0.conv1',
        channels: [3],
        reason: expect.stringContaining("Conv 'layer1.0.conv2' cannot take into its bias: it pads the border"),
      },
    ])
    await expectSame(model, cut)
  })
})

describe('dead channels', () => {
  it('leave a live model as it is', () => {
    const model = lenet5({ seed: 1 })
    expect(cutDeadChannels(model)).toEqual({ model, removed: [], left: [] })
  })

  it('leave one channel where all are dead', async () => {
    const model = withZeros(shaken(lenet300100({ seed: 1 }), 2), {
      fc2: { filters: Array.from({ length: 100 }, (_, i) => i) },
    })
    const { model: cut, removed, left } = cutDeadChannels(model)
    expect(shapeOf(cut, 'fc1')[0]).toBe(1)
    expect(shapeOf(cut, 'fc2')).toEqual([1, 1])
    expect(removed.map(({ channels }) => channels.length)).toEqual([299, 99])
    expect(left.map(({ layer }) => layer)).toEqual(['fc1', 'fc2'])
    await expectSame(model, cut)
  })

  it('give a MatMul without bias an Add, and a Gemm with factors the right bias', async () => {
    const draft = createDraft()
    const random = createRandom(4)
    const noise = (shape: readonly number[]) =>
      float32(
        Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
        shape,
      )
    const x = draft.input('x', 'float32', ['N', 6])
    const w1 = noise([6, 5])
    for (let row = 0; row < 6; row++) w1.data[row * 5 + 2] = 0
    const a = draft.add('Gemm', [x, draft.constant('w1', w1), draft.constant('b1', noise([5]))], {
      alpha: float(0.5),
      beta: float(2),
    })
    const b = draft.add(
      'MatMul',
      [draft.add('Sigmoid', [a]), draft.constant('w2', noise([5, 4]))],
      {},
      { name: 'second' },
    )
    const w3 = draft.constant('w3', noise([4, 3]))
    const c = draft.add('Gemm', [draft.add('Tanh', [b]), w3, draft.constant('b3', noise([1, 3]))], { beta: float(-3) })
    draft.output(c, 'float32', ['N', 3])
    const model = draft.finish()
    const { model: cut, removed } = cutDeadChannels(model)
    expect(removed).toEqual([{ layer: 'Gemm', channels: [2] }])
    await expectSame(model, cut)
  })
})
