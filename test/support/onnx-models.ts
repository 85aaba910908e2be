/** Small models that tests of the graph and of the ONNX reader start from. */
import { createDraft } from '../../src/ir/draft.ts'
import type { Graph, Model, Node } from '../../src/ir/model.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { float32, int64, type Tensor } from '../../src/tensor/tensor.ts'

export function noise(seed: number, shape: readonly number[]): Tensor<'float32'> {
  const random = createRandom(seed)
  const count = shape.reduce((product, size) => product * size, 1)
  return float32(
    Float32Array.from({ length: count }, () => random.normal()),
    shape,
  )
}

/** Conv, Relu, MaxPool, Flatten by Shape arithmetic, Gemm: x[N, 1, 8, 8] to y[N, 3]. */
export function smallCnn(): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N', 1, 8, 8])
  const w = draft.constant('conv.weight', noise(1, [4, 1, 3, 3]))
  const b = draft.constant('conv.bias', noise(2, [4]))
  const conv = draft.add('Conv', [x, w, b], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }, { name: 'conv' })
  const pooled = draft.add('MaxPool', [draft.add('Relu', [conv])], { kernel_shape: [2, 2], strides: [2, 2] })
  const batch = draft.add('Gather', [draft.add('Shape', [pooled]), draft.constant('zero', int64([0]))], { axis: 0 })
  const shape = draft.add('Concat', [batch, draft.constant('rest', int64([-1]))], { axis: 0 })
  const flat = draft.add('Reshape', [pooled, shape])
  const fc = draft.constant('fc.weight', noise(3, [3, 64]))
  const y = draft.add('Gemm', [flat, fc, draft.constant('fc.bias', noise(4, [3]))], { transB: 1 }, { name: 'fc' })
  draft.output(y, 'float32', ['N', 3])
  return draft.finish()
}

function node(op: string, inputs: readonly string[], outputs: readonly string[]): Node {
  return { name: '', op, domain: '', inputs, outputs, attributes: {} }
}

function branch(name: string, nodes: readonly Node[], output: string): Graph {
  return { name, nodes, inputs: [], outputs: [{ name: output }], initializers: new Map(), values: [] }
}

/** If(flag) then x + w else x - w, both branches reading from outside. */
export function ifModel(): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', [2, 3])
  const flag = draft.input('flag', 'bool', [])
  const w = draft.constant('w', noise(5, [2, 3]))
  const y = draft.add(
    'If',
    [flag],
    {
      then_branch: branch('then', [node('Add', [x, w], ['sum'])], 'sum'),
      else_branch: branch('else', [node('Sub', [x, w], ['difference'])], 'difference'),
    },
    { name: 'choose' },
  )
  draft.output(y, 'float32', [2, 3])
  return draft.finish()
}

/** A call of a local function that squares and scales by the caller's attribute. */
export function functionModel(): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N'])
  const y = draft.add('SquareScale', [x], { scale: { kind: 'float', value: 0.5 } }, { domain: 'test', name: 'call' })
  draft.output(y, 'float32', ['N'])
  const model = draft.finish()
  return {
    ...model,
    functions: [
      {
        name: 'SquareScale',
        domain: 'test',
        inputs: ['a'],
        outputs: ['c'],
        attributes: ['scale'],
        attributeDefaults: {},
        nodes: [
          {
            ...node('Constant', [], ['s']),
            attributes: { value_float: { kind: 'reference', value: 'scale', extras: { type: 1 } } },
          },
          node('Mul', ['a', 'a'], ['b']),
          node('Mul', ['b', 's'], ['c']),
        ],
        opsets: new Map([['', 21]]),
      },
    ],
  }
}

/** The one-node model of `op` in an old opset. */
export function oldModel(
  op: string,
  opset: number,
  inputs: readonly Tensor[],
  attributes: Node['attributes'],
  options: { readonly constant?: readonly number[]; readonly outputs?: readonly string[] } = {},
): Model {
  const names = inputs.map((_, i) => `in${i}`)
  const outputs = options.outputs ?? ['out']
  const isConstant = (i: number) => options.constant?.includes(i) ?? false
  return {
    irVersion: 8,
    opsets: new Map([['', opset]]),
    functions: [],
    metadata: new Map(),
    graph: {
      name: op,
      nodes: [{ name: 'node', op, domain: '', inputs: names, outputs, attributes }],
      inputs: names.flatMap((name, i) =>
        isConstant(i) ? [] : [{ name, type: { dtype: inputs[i].dtype, shape: inputs[i].shape } }],
      ),
      outputs: outputs.filter((name) => name !== '').map((name) => ({ name })),
      initializers: new Map(names.flatMap((name, i) => (isConstant(i) ? [[name, inputs[i]] as const] : []))),
      values: [],
    },
  }
}
