/** Small graphs of every way that channels can go, each cut at random and held against the masked graph. */
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { channelGroups } from '../../../src/ir/channel-groups.ts'
import { cutChannels, maskChannels } from '../../../src/ir/cut.ts'
import { createDraft, float, type Draft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { fromNumbers } from '../../../src/tensor/elements.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { elementCount, float32, int64, scalar } from '../../../src/tensor/tensor.ts'
import { compareRandomCut } from '../../support/channel-cuts.ts'

interface Kit {
  readonly draft: Draft
  noise(shape: readonly number[]): string
  positive(size: number): string
  ints(...values: number[]): string
  /** [N, inputs, H, W] -> [N, outputs, H, W], 3x3, padded. */
  conv(x: string, inputs: number, outputs: number, name: string, groups?: number): string
}

function kit(): Kit {
  const draft = createDraft()
  const random = createRandom(11)
  const constant = (shape: readonly number[], draw: () => number) =>
    draft.constant('w', float32(Float32Array.from({ length: elementCount(shape) }, draw), shape))
  const noise = (shape: readonly number[]) => constant(shape, () => random.normal() * 0.4)
  return {
    draft,
    noise,
    positive: (size) => constant([size], () => 0.5 + random.uniform()),
    ints: (...values) => draft.constant('i', int64(values)),
    conv: (x, inputs, outputs, name, group = 1) => {
      const w = noise([outputs, inputs / group, 3, 3])
      return draft.add('Conv', [x, w, noise([outputs])], { pads: [1, 1, 1, 1], group }, { name })
    },
  }
}

/** A convolution, `body` over its `channels` channels, and a convolution that reads the `outputs` of it. */
function between(channels: number, outputs: number, body: (x: string, kit: Kit) => string): Model {
  const all = kit()
  const { draft, conv } = all
  const x = draft.input('x', 'float32', ['N', 3, 6, 6])
  const y = conv(body(conv(x, 3, channels, 'first'), all), outputs, 2, 'last')
  draft.output(y, 'float32', ['N', 2, null, null])
  return draft.finish()
}

const images: Readonly<Record<string, Model>> = {
  'depthwise, with a multiplier': between(6, 12, (x, { draft, noise }) =>
    draft.add('Conv', [x, noise([12, 1, 3, 3])], { group: 6, pads: [1, 1, 1, 1] }, { name: 'depthwise' }),
  ),
  'groups of several channels': between(8, 12, (x, { conv }) => conv(x, 8, 12, 'grouped', 4)),
  ConvTranspose: between(6, 4, (x, { draft, noise }) =>
    draft.add('ConvTranspose', [x, noise([6, 4, 2, 2]), noise([4])], { strides: [2, 2] }, { name: 'up' }),
  ),
  'ConvTranspose in groups': between(6, 8, (x, { draft, noise }) =>
    draft.add('ConvTranspose', [x, noise([6, 4, 2, 2]), noise([8])], { group: 2 }, { name: 'up' }),
  ),
  'normalizations of each channel': between(6, 6, (x, { draft, noise, positive }) => {
    const a = draft.add('BatchNormalization', [x, noise([6]), noise([6]), noise([6]), positive(6)])
    return draft.add('InstanceNormalization', [a, noise([6]), noise([6])])
  }),
  'normalization of groups': between(8, 8, (x, { draft, noise }) =>
    draft.add('GroupNormalization', [x, noise([8]), noise([8])], { num_groups: 4 }),
  ),
  'normalization by neighbours': between(12, 12, (x, { draft }) =>
    draft.add('LRN', [draft.add('LRN', [x], { size: 5, alpha: float(2) })], { size: 3, alpha: float(3) }),
  ),
  'activations with a slope a channel': between(6, 6, (x, { draft, noise }) =>
    draft.add('PRelu', [draft.add('HardSwish', [x]), noise([6, 1, 1])]),
  ),
  'squeeze and excitation': between(8, 8, (x, { draft, noise }) => {
    const pooled = draft.add('ReduceMean', [x, draft.constant('axes', int64([2, 3]))])
    const small = draft.add('Relu', [draft.add('Conv', [pooled, noise([4, 8, 1, 1])], {}, { name: 'squeeze' })])
    const gate = draft.add('Sigmoid', [draft.add('Conv', [small, noise([8, 4, 1, 1])], {}, { name: 'excite' })])
    return draft.add('Mul', [x, gate])
  }),
  'residual with a shortcut that pads channels': between(4, 8, (x, { draft, conv, ints }) => {
    const shortcut = draft.add('Pad', [x, ints(0, 2, 0, 0, 0, 2, 0, 0)])
    return draft.add('Add', [conv(x, 4, 8, 'branch'), shortcut])
  }),
  'pieces that are split, swapped and joined': between(9, 13, (x, { draft, conv, ints }) => {
    const [a, b, c] = draft.addMany('Split', [x, ints(4, 3, 2)], { axis: 1 }, { outputs: 3 })
    return draft.add('Concat', [c, conv(a, 4, 8, 'piece'), b], { axis: 1 })
  }),
  'equal halves without sizes': between(8, 8, (x, { draft }) => {
    const [a, b] = draft.addMany('Split', [x], { axis: 1, num_outputs: 2 }, { outputs: 2 })
    return draft.add('Concat', [draft.add('Tanh', [b]), a], { axis: 1 })
  }),
  'slices of channels, also with steps and reversed': between(9, 9, (x, { draft, ints }) => {
    const even = draft.add('Slice', [x, ints(0), ints(9), ints(1), ints(2)])
    const back = draft.add('Slice', [x, ints(-2, 0), ints(-10, 6), ints(1, 2), ints(-2, 1)])
    return draft.add('Concat', [even, back], { axis: 1 })
  }),
  'cropped by negative pads': between(9, 7, (x, { draft, ints }) =>
    draft.add('Pad', [x, ints(0, -1, 1, 0, 0, -1, 1, 0)]),
  ),
  'channels picked from a list': between(6, 8, (x, { draft, ints }) =>
    draft.add('Gather', [x, ints(5, 0, 0, 2, -2, 1, 3, 5)], { axis: 1 }),
  ),
  'a channel shuffle': between(12, 12, (x, { draft, ints }) => {
    const split = draft.add('Reshape', [x, ints(0, 3, 4, 6, 6)])
    const swapped = draft.add('Transpose', [split], { perm: [0, 2, 1, 3, 4] })
    return draft.add('Reshape', [swapped, ints(-1, 12, 6, 6)])
  }),
  'channels last and back': between(6, 6, (x, { draft, noise }) => {
    const last = draft.add('Transpose', [x], { perm: [0, 2, 3, 1] })
    const product = draft.add('MatMul', [last, noise([6, 6])], {}, { name: 'pointwise' })
    return draft.add('Transpose', [draft.add('Add', [product, noise([6])])], { perm: [0, 3, 1, 2] })
  }),
  'pixels moved into channels and back': between(8, 8, (x, { draft }) => {
    const apart = draft.add('SpaceToDepth', [x], { blocksize: 2 })
    return draft.add('DepthToSpace', [draft.add('Relu', [apart])], { blocksize: 2 })
  }),
  'channels moved into pixels, column by column': between(12, 3, (x, { draft }) =>
    draft.add('DepthToSpace', [x], { blocksize: 2, mode: 'CRD' }),
  ),
  'resized by scales and by sizes': between(6, 6, (x, { draft, ints }) => {
    const large = draft.add('Resize', [x, undefined, draft.constant('scales', float32([1, 1, 2, 2]))], {})
    return draft.add('Resize', [large, undefined, undefined, ints(5, 5)], { mode: 'linear', axes: [2, 3] })
  }),
  'pooled, dropped out and clipped': between(6, 6, (x, { draft }) => {
    const pooled = draft.add('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] })
    const low = draft.constant('low', scalar('float32', -1))
    const mean = draft.add('AveragePool', [draft.add('Clip', [pooled, low])], {
      kernel_shape: [3, 3],
      pads: [1, 1, 1, 1],
    })
    return draft.add('Dropout', [draft.add('Softmax', [mean], { axis: 2 })])
  }),
  'quantized weights and activations': between(6, 6, (x, { draft, positive }) => {
    const zero = draft.constant('zero', fromNumbers('uint8', [], [128]))
    const step = draft.constant('step', scalar('float32', 0.05))
    const read = draft.add('DequantizeLinear', [draft.add('QuantizeLinear', [x, step, zero]), step, zero])
    const random = createRandom(3)
    const codes = Float64Array.from({ length: 6 * 6 * 9 }, () => Math.round(random.normal() * 30))
    const weight = draft.add(
      'DequantizeLinear',
      [
        draft.constant('codes', fromNumbers('int8', [6, 6, 3, 3], codes)),
        positive(6),
        draft.constant('zeros', fromNumbers('int8', [6], new Float64Array(6))),
      ],
      { axis: 0 },
    )
    const small = draft.add('Mul', [weight, draft.constant('small', scalar('float32', 0.01))])
    return draft.add('Conv', [read, small], { pads: [1, 1, 1, 1] }, { name: 'quantized' })
  }),
}

function attention(): Model {
  const { draft, noise, ints } = kit()
  const [heads, size, width] = [4, 3, 12]
  const x = draft.input('x', 'float32', ['N', 'T', width])
  const project = (name: string) => {
    const y = draft.add('Add', [draft.add('MatMul', [x, noise([width, width])], {}, { name }), noise([width])])
    return draft.add('Reshape', [y, ints(0, 0, heads, size)])
  }
  const [query, key, value] = ['query', 'key', 'value'].map(project)
  const swap = (y: string, perm: number[]) => draft.add('Transpose', [y], { perm })
  const scores = draft.add('MatMul', [swap(query, [0, 2, 1, 3]), swap(key, [0, 2, 3, 1])])
  const scaled = draft.add('Div', [scores, draft.constant('root', scalar('float32', Math.sqrt(size)))])
  const mixed = draft.add('MatMul', [draft.add('Softmax', [scaled], { axis: -1 }), swap(value, [0, 2, 1, 3])])
  const joined = draft.add('Reshape', [swap(mixed, [0, 2, 1, 3]), ints(0, 0, width)])
  const out = draft.add('MatMul', [joined, noise([width, width])], {}, { name: 'out' })
  const norm = draft.add('LayerNormalization', [draft.add('Add', [x, out]), noise([width]), noise([width])])
  const hidden = draft.add('Gelu', [draft.add('MatMul', [norm, noise([width, 20])], {}, { name: 'up' })])
  const down = draft.add('MatMul', [hidden, noise([20, width])], {}, { name: 'down' })
  draft.output(draft.add('Add', [norm, down]), 'float32', ['N', 'T', width])
  return draft.finish()
}

describe('a random cut leaves what masking leaves', () => {
  it.each(Object.entries({ ...images, attention: attention() }))('%s', async (_, model) => {
    const { worst, removed, cut } = await compareRandomCut(model, 1)
    expect(removed).toBeGreaterThan(0)
    expect(worst).toBeLessThanOrEqual(1e-5)
    // What was cut once can be cut again.
    const again = await compareRandomCut(cut, 2, 0.2)
    expect(again.worst).toBeLessThanOrEqual(1e-5)
  })
})

describe('groups of channels', () => {
  it('of attention are whole heads, and the hidden layer; what LayerNormalization averages over stays', () => {
    const groups = channelGroups(attention())
    const free = groups.filter(({ reason }) => reason === undefined)
    expect(free.map(({ id, size }) => [id, size])).toEqual([
      ['query', 4],
      ['up', 20],
    ])
    expect(free[0].producers.map(({ layer }) => layer.name)).toEqual(['query', 'key', 'value'])
    expect(free[0].producers[0].places[1]).toEqual([3, 4, 5])
    expect(free[0].consumers.map(({ layer }) => layer.name)).toEqual(['out'])
    const pinned = groups.filter(({ reason }) => reason !== undefined)
    expect(pinned.map(({ reason }) => reason)).toEqual([
      "'x' is an input of the model",
      "LayerNormalization 'LayerNormalization' works across axis 2 of 'LayerNormalization'",
    ])
  })

  it('name what keeps them from being cut', () => {
    const model = between(6, 6, (x, { draft, noise }) => {
      const rows = draft.add('LayerNormalization', [draft.add('Transpose', [x], { perm: [0, 2, 3, 1] }), noise([6])])
      return draft.add('Transpose', [rows], { perm: [0, 3, 1, 2] })
    })
    expect(channelGroups(model).find(({ id }) => id === 'first')?.reason).toMatch(
      /^LayerNormalization '.*' works across axis 3 of/,
    )
    const unknown = between(6, 6, (x, { draft }) => draft.add('Mystery', [x], {}, { domain: 'elsewhere' }))
    expect(channelGroups(unknown).find(({ id }) => id === 'first')?.reason).toMatch(
      /^nothing is known about the channels of elsewhere.Mystery/,
    )
  })

  it('stand in the order of their layers, whatever the graph does with a later weight first', () => {
    const { draft, noise, ints, conv } = kit()
    const weight = draft.add('Reshape', [noise([4, 1, 1, 2]), ints(4, 2)])
    const hidden = draft.add('Relu', [conv(draft.input('x', 'float32', [1, 2, 5, 5]), 2, 6, 'first')])
    const pooled = draft.add('GlobalAveragePool', [draft.add('Relu', [conv(hidden, 6, 4, 'second')])])
    draft.output(draft.add('MatMul', [draft.add('Flatten', [pooled]), weight], {}, { name: 'last' }), 'float32', [1, 2])
    const made = channelGroups(draft.finish()).filter(({ producers }) => producers.length > 0)
    expect(made.map(({ id }) => id)).toEqual(['first', 'second', 'last'])
  })

  it('say when all channels of a layer are one', () => {
    const model = between(6, 1, (x, { conv }) => conv(x, 6, 1, 'single'))
    const single = channelGroups(model).find(({ id }) => id === 'single')
    expect(single?.reason).toMatch(/^it is all that axis \d of '.*' has, tied together$/)
  })

  it('of two layers that share a vector by chance stay apart', () => {
    const { draft, noise, positive, conv } = kit()
    const [zeros, ones] = [noise([4]), positive(4)]
    const norm = (x: string) => draft.add('BatchNormalization', [x, ones, zeros, zeros, ones])
    const x = draft.input('x', 'float32', ['N', 3, 4, 4])
    const y = conv(norm(conv(norm(conv(x, 3, 4, 'a')), 4, 4, 'b')), 4, 2, 'c')
    draft.output(y, 'float32', ['N', 2, 4, 4])
    const model = draft.finish()
    expect(channelGroups(model).flatMap(({ id, reason }) => (reason === undefined ? [id] : []))).toEqual(['a', 'b'])
    const cut = cutChannels(model, new Map([['a', [1]]]))
    expect(cut.graph.initializers.get(zeros)?.shape).not.toEqual(model.graph.initializers.get(zeros)?.shape)
    expect(model.graph.initializers.get(zeros)?.shape).toEqual([4])
    // Nothing is left of what was taken apart only to look at it.
    const names = [...cutChannels(model, new Map([['b', []]])).graph.initializers.keys()]
    expect(names).toEqual([...model.graph.initializers.keys()])
  })
})

describe('cutting refuses', () => {
  const model = images['a channel shuffle']
  const attempt = (id: string, channels: number[]) => () => cutChannels(model, new Map([[id, channels]]))

  it('a group that is not there, with the nearest name', () => {
    expect(attempt('frist', [0])).toThrow(UsageError)
    expect(attempt('frist', [0])).toThrow(expect.objectContaining({ hint: "Did you mean 'first'?", place: 'frist' }))
  })

  it('a channel that is not there', () => {
    expect(attempt('first', [12])).toThrow("group 'first' has 12 channels, and none numbered 12")
  })

  it('channels that are tied to the ends of the model', () => {
    expect(attempt('last', [0])).toThrow(/cannot be cut: '.*' is an output of the model/)
  })

  it('all channels of a layer', () => {
    const all = Array.from({ length: 12 }, (_, channel) => channel)
    expect(attempt('first', all)).toThrow(expect.objectContaining({ code: 'cut-whole-axis' }))
    expect(() => maskChannels(model, new Map([['first', all]]))).toThrow(UsageError)
  })
})
