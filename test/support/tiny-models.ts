import { createDraft, type Draft } from '../../src/ir/draft.ts'
import type { Graph, Model } from '../../src/ir/model.ts'
import { createRandom, type Random } from '../../src/tensor/random.ts'
import { elementCount, float32, scalar, int64 } from '../../src/tensor/tensor.ts'

/** A model small enough for every test, and what a test needs to know about it. */
export interface TinyModel {
  readonly name: string
  readonly model: Model
  /** Shape of one example, without the batch axis. */
  readonly inputShape: readonly number[]
  readonly classes: number
  /** Whether all of it can be differentiated. */
  readonly trainable: boolean
}

interface Kit {
  readonly draft: Draft
  weights(name: string, shape: readonly number[], scale?: number): string
}

function kit(seed: number): Kit {
  const draft = createDraft()
  const random = createRandom(seed)
  return { draft, weights: (name, shape, scale) => draft.constant(name, normal(random, shape, scale)) }
}

function normal(random: Random, shape: readonly number[], scale = 0.4) {
  return float32(
    Float32Array.from({ length: elementCount(shape) }, () => random.normal() * scale),
    shape,
  )
}

function finished(draft: Draft, output: string, classes = 4): Model {
  draft.output(output, 'float32', ['batch', classes])
  return draft.finish()
}

function mlp(): Model {
  const { draft, weights } = kit(1)
  const x = draft.input('x', 'float32', ['batch', 8])
  const hidden = draft.add(
    'Gemm',
    [x, weights('fc1.weight', [16, 8]), weights('fc1.bias', [16])],
    { transB: 1 },
    { name: 'fc1' },
  )
  const active = draft.add('Relu', [hidden])
  return finished(
    draft,
    draft.add(
      'Gemm',
      [active, weights('fc2.weight', [4, 16]), weights('fc2.bias', [4])],
      { transB: 1 },
      { name: 'fc2' },
    ),
  )
}

function cnn(): Model {
  const { draft, weights } = kit(2)
  const x = draft.input('x', 'float32', ['batch', 1, 8, 8])
  const a = draft.add(
    'Conv',
    [x, weights('conv1.weight', [4, 1, 3, 3]), weights('conv1.bias', [4])],
    { pads: [1, 1, 1, 1] },
    { name: 'conv1' },
  )
  const b = draft.add('MaxPool', [draft.add('Relu', [a])], { kernel_shape: [2, 2], strides: [2, 2] })
  const c = draft.add('Conv', [b, weights('conv2.weight', [8, 4, 3, 3])], {}, { name: 'conv2' })
  const pooled = draft.add('Flatten', [draft.add('GlobalAveragePool', [draft.add('Relu', [c])])], { axis: 1 })
  return finished(draft, draft.add('Gemm', [pooled, weights('fc.weight', [8, 4])], {}, { name: 'fc' }))
}

function residual(): Model {
  const { draft, weights } = kit(3)
  const x = draft.input('x', 'float32', ['batch', 2, 6, 6])
  const stem = draft.add('Conv', [x, weights('stem.weight', [6, 2, 3, 3])], { pads: [1, 1, 1, 1] }, { name: 'stem' })
  const norm = draft.add('BatchNormalization', [
    stem,
    draft.constant('bn.scale', float32([1, 0.9, 1.1, 1, 1, 1.2])),
    weights('bn.shift', [6]),
    weights('bn.mean', [6]),
    draft.constant('bn.variance', float32([1, 2, 0.5, 1, 1, 1])),
  ])
  const start = draft.add('Relu', [norm])
  const branch = draft.add(
    'Conv',
    [start, weights('branch.weight', [6, 6, 3, 3], 0.2)],
    { pads: [1, 1, 1, 1] },
    { name: 'branch' },
  )
  const sum = draft.add('Relu', [draft.add('Add', [start, branch])])
  const pooled = draft.add('Flatten', [draft.add('GlobalAveragePool', [sum])], { axis: 1 })
  return finished(draft, draft.add('Gemm', [pooled, weights('fc.weight', [4, 6])], { transB: 1 }, { name: 'fc' }))
}

function grouped(): Model {
  const { draft, weights } = kit(4)
  const x = draft.input('x', 'float32', ['batch', 4, 6, 6])
  const a = draft.add('Conv', [x, weights('grouped.weight', [8, 2, 3, 3])], { group: 2 }, { name: 'grouped' })
  const b = draft.add(
    'Conv',
    [draft.add('Relu', [a]), weights('depthwise.weight', [8, 1, 3, 3])],
    { group: 8 },
    { name: 'depthwise' },
  )
  const pooled = draft.add('Flatten', [draft.add('GlobalAveragePool', [b])], { axis: 1 })
  return finished(draft, draft.add('MatMul', [pooled, weights('fc.weight', [8, 4])], {}, { name: 'fc' }))
}

/** One weight that two layers read. */
function tied(): Model {
  const { draft, weights } = kit(5)
  const x = draft.input('x', 'float32', ['batch', 8])
  const shared = weights('tied.weight', [8, 8])
  const a = draft.add('Tanh', [draft.add('MatMul', [x, shared], {}, { name: 'first' })])
  const b = draft.add('Tanh', [draft.add('MatMul', [a, shared], {}, { name: 'second' })])
  return finished(draft, draft.add('MatMul', [b, weights('last.weight', [8, 4])], {}, { name: 'last' }))
}

/** An If whose branches read a weight of the outer graph and one of their own. */
function branching(): Model {
  const { draft, weights } = kit(6)
  const x = draft.input('x', 'float32', ['batch', 8])
  const hidden = draft.add('MatMul', [x, weights('outer.weight', [8, 8])], {}, { name: 'outer' })
  const total = draft.add('ReduceSum', [hidden, draft.constant('axes', int64([0, 1]))], { keepdims: 0 })
  const positive = draft.add('Greater', [total, draft.constant('zero', scalar('float32', 0))])
  const last = weights('last.weight', [8, 4])
  const then: Graph = {
    name: 'then',
    nodes: [
      { name: 'direct', op: 'MatMul', domain: '', inputs: [hidden, last], outputs: ['then_out'], attributes: {} },
    ],
    inputs: [],
    outputs: [{ name: 'then_out', type: { dtype: 'float32', shape: ['batch', 4] } }],
    initializers: new Map(),
    values: [],
  }
  const otherwise: Graph = {
    ...then,
    name: 'else',
    nodes: [
      {
        name: 'inner',
        op: 'MatMul',
        domain: '',
        inputs: [hidden, 'inner.weight'],
        outputs: ['else_out'],
        attributes: {},
      },
    ],
    outputs: [{ name: 'else_out', type: { dtype: 'float32', shape: ['batch', 4] } }],
    initializers: new Map([['inner.weight', normal(createRandom(7), [8, 4])]]),
  }
  return finished(draft, draft.add('If', [positive], { then_branch: then, else_branch: otherwise }, { name: 'choice' }))
}

/** The models on which every method is tried. */
export function tinyModels(): TinyModel[] {
  return [
    { name: 'MLP', model: mlp(), inputShape: [8], classes: 4, trainable: true },
    { name: 'CNN', model: cnn(), inputShape: [1, 8, 8], classes: 4, trainable: true },
    { name: 'residual', model: residual(), inputShape: [2, 6, 6], classes: 4, trainable: true },
    { name: 'grouped', model: grouped(), inputShape: [4, 6, 6], classes: 4, trainable: true },
    { name: 'shared weights', model: tied(), inputShape: [8], classes: 4, trainable: true },
    { name: 'If sub-graph', model: branching(), inputShape: [8], classes: 4, trainable: false },
  ]
}
