import { describe, expect, test } from 'vitest'
import { ModelError, UsageError } from '../../../src/errors.ts'
import { createDraft, float } from '../../../src/ir/draft.ts'
import { foldConstants } from '../../../src/ir/fold.ts'
import { graphIndex, outerValues, topologicalOrder } from '../../../src/ir/graph.ts'
import { subgraphs, type Model } from '../../../src/ir/model.ts'
import { layers } from '../../../src/ir/rewrite.ts'
import { bindDimensions, inferShapes, rebatch } from '../../../src/ir/shapes.ts'
import { assertValid, verify } from '../../../src/ir/verify.ts'
import { createTensor, float32, int64, zeros } from '../../../src/tensor/tensor.ts'
import { functionModel, ifModel, noise, smallCnn } from '../../support/onnx-models.ts'

describe('a draft', () => {
  test('never changes the model that it started from', () => {
    const model = smallCnn()
    const before = structuredClone(model)
    const draft = createDraft(model)
    draft.redirect('conv', draft.add('Neg', ['conv']))
    draft.constant('conv.weight', zeros('float32', [1]))
    draft.metadata.set('k', 'v')
    draft.nodes.pop()
    draft.finish()
    expect(model).toEqual(before)
  })

  test('gives every value a name of its own, also against sub-graphs', () => {
    const draft = createDraft(ifModel())
    expect(draft.fresh('sum')).toBe('sum_1')
    expect(draft.fresh('sum')).toBe('sum_2')
    expect(draft.constant('w', float32([1]))).toBe('w_1')
    expect(draft.add('Relu', ['x'], {}, { outputs: ['fine'] })).toBe('fine')
    expect(draft.addMany('Split', ['x'], {}, { outputs: 2 })).toHaveLength(2)
    expect(() => draft.input('x', 'float32')).toThrow(UsageError)
  })

  test('sorts, and drops what nothing reads', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', [2])
    draft.nodes.push({ name: 'late', op: 'Neg', domain: '', inputs: ['made'], outputs: ['y'], attributes: {} })
    draft.add('Relu', [x], {}, { outputs: ['made'] })
    draft.add('Abs', [x])
    draft.constant('unused', float32([1]))
    draft.output('y')
    const { graph } = draft.finish()
    expect(graph.nodes.map((node) => node.op)).toEqual(['Relu', 'Neg'])
    expect(graph.initializers.size).toBe(0)
    expect(draft.finish({ keepUnused: true }).graph.nodes).toHaveLength(3)
  })

  test('redirects readers in sub-graphs and outputs', () => {
    const draft = createDraft(ifModel())
    const scaled = draft.add('Neg', ['x'])
    draft.redirect('w', scaled)
    const [node] = draft.nodes
    expect(subgraphs(node).map((graph) => [...outerValues(graph)])).toEqual([
      ['x', scaled],
      ['x', scaled],
    ])
    expect(verify(draft.finish())).toEqual([])
  })

  test('interposes nodes between a value and everybody else who reads it', () => {
    const draft = createDraft(ifModel())
    let doubled = ''
    const result = draft.interpose('w', () => {
      doubled = draft.add('Add', ['w', 'w'])
      return draft.add('Neg', [doubled])
    })
    const [node, ...added] = draft.nodes
    expect(added.map(({ inputs }) => inputs)).toEqual([['w', 'w'], [doubled]])
    expect(subgraphs(node).map((graph) => [...outerValues(graph)])).toEqual([
      ['x', result],
      ['x', result],
    ])
    expect(verify(draft.finish())).toEqual([])
  })

  test('tells floats from integers', () => {
    const draft = createDraft()
    draft.add('Elu', [draft.input('x', 'float32')], { alpha: float(1), axis: 1, list: [0.5, 1] })
    const { attributes } = draft.nodes[0]
    expect(attributes).toEqual({
      alpha: { kind: 'float', value: 1 },
      axis: { kind: 'int', value: 1 },
      list: { kind: 'floats', value: [0.5, 1] },
    })
  })
})

describe('order', () => {
  test('a cycle names its nodes', () => {
    const node = (name: string, input: string, output: string) => ({
      name,
      op: 'Neg',
      domain: '',
      inputs: [input],
      outputs: [output],
      attributes: {},
    })
    const cyclic = [node('first', 'c', 'a'), node('second', 'a', 'b'), node('third', 'b', 'c')]
    expect(() => topologicalOrder(cyclic)).toThrow(/first → second → third → first|second → third|third → first/)
    expect(() => topologicalOrder(cyclic)).toThrow(ModelError)
  })

  test('long chains do not overflow the stack', () => {
    const nodes = Array.from({ length: 50_000 }, (_, i) => ({
      name: `n${i}`,
      op: 'Neg',
      domain: '',
      inputs: [`v${i}`],
      outputs: [`v${i + 1}`],
      attributes: {},
    }))
    expect(topologicalOrder(nodes.toReversed())).toEqual(nodes)
  })

  test('readers inside sub-graphs are readers', () => {
    const model = ifModel()
    const index = graphIndex(model.graph)
    expect(index.consumers('w').map((node) => node.name)).toEqual(['choose'])
    expect(index.isOutput('choose')).toBe(true)
    expect(index.producer('w')).toBeUndefined()
  })
})

function bare(model: Model): Model {
  const outputs = model.graph.outputs.map(({ name }) => ({ name }))
  return { ...model, graph: { ...model.graph, outputs, values: [] } }
}

describe('shapes', () => {
  test('follow symbols through the arithmetic of shapes', () => {
    const types = inferShapes(bare(smallCnn()))
    expect(types.get('Reshape')).toEqual({ dtype: 'float32', shape: ['N', 64] })
    expect(types.get('fc')).toEqual({ dtype: 'float32', shape: ['N', 3] })
    expect(types.problems).toEqual([])
  })

  test('see into branches and function bodies', () => {
    expect(inferShapes(bare(ifModel())).get('choose')).toEqual({ dtype: 'float32', shape: [2, 3] })
    expect(inferShapes(bare(functionModel())).get('call')).toEqual({ dtype: 'float32', shape: ['N'] })
  })

  test('fall back on declarations where no rule knows the operator', () => {
    const draft = createDraft()
    const made = draft.add('Novel', [draft.input('x', 'float32', [2])], {}, { domain: 'com.example' })
    draft.output(draft.add('Neg', [made]), 'float32', [5])
    const model = draft.finish()
    const values = [{ name: made, type: { dtype: 'float32', shape: [5] } as const }]
    expect(inferShapes({ ...model, graph: { ...model.graph, values } }).get(made)?.shape).toEqual([5])
    expect(inferShapes(model).get(made)).toBeUndefined()
  })

  test('bind to numbers by symbol', () => {
    const bound = bindDimensions(smallCnn(), { N: 7 })
    expect(bound.graph.inputs[0].type?.shape).toEqual([7, 1, 8, 8])
    expect(inferShapes(bound).get('fc')?.shape).toEqual([7, 3])
    expect(() => bindDimensions(smallCnn(), { N: 0 })).toThrow(UsageError)
  })

  test('another batch size passes a Reshape that has the old one written in', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', [1, 4, 2])
    const flat = draft.add('Reshape', [x, draft.constant('shape', int64([1, 8]))])
    draft.output(flat, 'float32', [1, 8])
    const model = rebatch(draft.finish(), 5)
    expect(inferShapes(model).get(flat)?.shape).toEqual([5, 8])
    expect(model.graph.outputs[0].type?.shape).toEqual([5, 8])
    expect(verify(model)).toEqual([])
    expect(rebatch(smallCnn(), 3).graph.inputs[0].type?.shape).toEqual([3, 1, 8, 8])
  })
})

describe('folding', () => {
  test('computes constants, and the shapes that became known', () => {
    const folded = foldConstants(bindDimensions(smallCnn(), { N: 2 }))
    expect(folded.graph.nodes.map((node) => node.op)).toEqual(['Conv', 'Relu', 'MaxPool', 'Reshape', 'Gemm'])
    expect(verify(folded)).toEqual([])
  })

  test('leaves codes and code books alone unless asked', () => {
    const draft = createDraft()
    const codes = draft.constant('codes', createTensor('uint8', [3, 4], new Uint8Array(12).fill(1)))
    const book = draft.constant('book', float32([0, 0.5]))
    const weight = draft.add('Gather', [book, draft.add('Cast', [codes], { to: 6 })])
    draft.output(draft.add('MatMul', [draft.input('x', 'float32', [1, 3]), weight]))
    const model = draft.finish()
    expect(foldConstants(model).graph.nodes.map((node) => node.op)).toContain('Gather')
    const dense = foldConstants(model, { all: true })
    expect(dense.graph.nodes.map((node) => node.op)).toEqual(['MatMul'])
    expect(dense.graph.initializers.get(weight)).toEqual(float32(new Float32Array(12).fill(0.5), [3, 4]))
  })
})

describe('layers', () => {
  test('name the weight, the bias and the axes', () => {
    const found = layers(smallCnn()).map(({ name, weight, bias, outAxis, inAxis }) => ({
      name,
      weight,
      bias,
      outAxis,
      inAxis,
    }))
    expect(found).toEqual([
      { name: 'conv', weight: 'conv.weight', bias: 'conv.bias', outAxis: 0, inAxis: 1 },
      { name: 'fc', weight: 'fc.weight', bias: 'fc.bias', outAxis: 0, inAxis: 1 },
    ])
  })

  test('reach the weight through masks, code books and transposition', () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['N', 4])
    const mask = draft.constant('mask', createTensor('uint8', [3, 4], new Uint8Array(12)))
    const masked = draft.add('Mul', [draft.constant('w', noise(1, [3, 4])), draft.add('Cast', [mask], { to: 1 })])
    const first = draft.add('MatMul', [x, draft.add('Transpose', [masked], { perm: [1, 0] })], {}, { name: 'first' })
    const biased = draft.add('Add', [first, draft.constant('b', noise(2, [3]))])
    const codes = draft.constant('codes', createTensor('uint8', [3, 5], new Uint8Array(15)))
    const shared = draft.add('Gather', [draft.constant('book', float32([0, 1])), draft.add('Cast', [codes], { to: 6 })])
    draft.output(draft.add('MatMul', [biased, shared], {}, { name: 'second' }))
    const found = layers(draft.finish())
    expect(found.map(({ weight, bias, outAxis, inAxis }) => ({ weight, bias, outAxis, inAxis }))).toEqual([
      { weight: 'w', bias: 'b', outAxis: 0, inAxis: 1 },
      { weight: 'codes', bias: undefined, outAxis: 1, inAxis: 0 },
    ])
    expect(found.map(({ source }) => source.map((node) => node.op))).toEqual([
      ['Mul', 'Transpose'],
      ['Cast', 'Gather'],
    ])
  })

  test('are no products of two inputs', () => {
    const draft = createDraft()
    draft.output(draft.add('MatMul', [draft.input('a', 'float32', [2, 2]), draft.input('b', 'float32', [2, 2])]))
    expect(layers(draft.finish())).toEqual([])
  })
})

describe('verification', () => {
  test('finds nothing wrong with sound models', () => {
    for (const model of [smallCnn(), ifModel(), functionModel()]) expect(verify(model)).toEqual([])
  })

  test('reports all problems at once', () => {
    const model = smallCnn()
    const [conv, ...rest] = model.graph.nodes
    const broken: Model = {
      ...model,
      graph: {
        ...model.graph,
        nodes: [{ ...conv, inputs: ['x', 'missing'] }, ...rest, { ...conv, name: 'again', domain: 'com.example' }],
        outputs: [...model.graph.outputs, { name: 'nobody' }],
        initializers: new Map(model.graph.initializers).set('bad', {
          dtype: 'float32',
          shape: [3],
          data: new Float32Array(2),
        }),
      },
    }
    expect(verify(broken).map((problem) => problem.code)).toEqual([
      'tensor-length',
      'undefined-value',
      'unknown-domain',
      'duplicate-value',
      'output-not-produced',
    ])
    expect(() => assertValid(broken)).toThrow(/5 problems:[^]*missing[^]*com.example[^]*nobody/)
    expect(() => assertValid(broken)).toThrow(ModelError)
  })

  test('finds types that do not fit, and wrong declarations', () => {
    const model = smallCnn()
    const wrong = new Map(model.graph.initializers).set('fc.weight', zeros('float32', [3, 65]))
    expect(verify({ ...model, graph: { ...model.graph, initializers: wrong } })).toHaveLength(1)
    const outputs = [{ name: 'fc', type: { dtype: 'float32', shape: ['N', 4] } as const }]
    expect(verify({ ...model, graph: { ...model.graph, outputs } })[0].code).toBe('output-type')
    const declared = { name: 'fc.bias', type: { dtype: 'float32', shape: [4] } as const }
    const inputs = [...model.graph.inputs, declared]
    expect(verify({ ...model, graph: { ...model.graph, inputs } })[0].code).toBe('initializer-type')
  })

  test('finds names that a sub-graph hides, and values that it lacks', () => {
    const model = ifModel()
    const [node] = model.graph.nodes
    const [then] = subgraphs(node)
    const clash = {
      ...then,
      nodes: [{ ...then.nodes[0], inputs: ['x', 'nothing'], outputs: ['w'] }],
      outputs: [{ name: 'w' }],
    }
    const attributes = { ...node.attributes, then_branch: { kind: 'graph', value: clash } as const }
    const codes = verify({ ...model, graph: { ...model.graph, nodes: [{ ...node, attributes }] } }).map(
      ({ code }) => code,
    )
    expect(codes).toEqual(['undefined-value', 'duplicate-value'])
  })

  test('says cycle once', () => {
    const model = smallCnn()
    const nodes = model.graph.nodes.map((node) =>
      node.name === 'conv' ? { ...node, inputs: ['fc', 'conv.weight'] } : node,
    )
    expect(verify({ ...model, graph: { ...model.graph, nodes } }).map(({ code }) => code)).toEqual(['cycle'])
  })
})
