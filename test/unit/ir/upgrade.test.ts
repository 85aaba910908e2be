/** Each rule against onnxruntime: the old form and the raised one compute the same. */
import { describe, expect, test } from 'vitest'
import { UnsupportedError } from '../../../src/errors.ts'
import { readModel } from '../../../src/formats/onnx/read.ts'
import { writeModel } from '../../../src/formats/onnx/write.ts'
import type { Attribute, Model } from '../../../src/ir/model.ts'
import { raiseOpset } from '../../../src/ir/upgrade/raise.ts'
import { verify } from '../../../src/ir/verify.ts'
import { float32, int64, type Tensor } from '../../../src/tensor/tensor.ts'
import { difference, openSession, run } from '../../conformance/backend.ts'
import { functionModel, noise, oldModel } from '../../support/onnx-models.ts'

const int = (value: number): Attribute => ({ kind: 'int', value })
const ints = (...value: number[]): Attribute => ({ kind: 'ints', value })
const float = (value: number): Attribute => ({ kind: 'float', value })
const text = (value: string): Attribute => ({ kind: 'string', value })

interface Case {
  readonly op: string
  readonly opset: number
  readonly title: string
  readonly inputs: readonly Tensor[]
  readonly attributes?: Readonly<Record<string, Attribute>>
  readonly constant?: readonly number[]
  readonly outputs?: readonly string[]
  /** Operators of the raised form. */
  readonly becomes?: string
}

const x = noise(1, [2, 3, 4])
const image = noise(2, [1, 2, 4, 4])
const scales = (...values: number[]) => float32(values)

const cases: readonly Case[] = [
  { op: 'Squeeze', opset: 11, title: 'axes', inputs: [noise(1, [1, 3, 1])], attributes: { axes: ints(0) } },
  { op: 'Unsqueeze', opset: 11, title: 'axes', inputs: [x], attributes: { axes: ints(0, 3) } },
  { op: 'ReduceSum', opset: 11, title: 'axes', inputs: [x], attributes: { axes: ints(1), keepdims: int(0) } },
  { op: 'ReduceMean', opset: 13, title: 'axes', inputs: [x], attributes: { axes: ints(-1) } },
  { op: 'ReduceMax', opset: 12, title: 'all axes', inputs: [x] },
  {
    op: 'Split',
    opset: 11,
    title: 'sizes',
    inputs: [x],
    attributes: { axis: int(1), split: ints(1, 2) },
    outputs: ['a', 'b'],
  },
  { op: 'Split', opset: 13, title: 'equal parts', inputs: [x], attributes: { axis: int(2) }, outputs: ['a', 'b'] },
  { op: 'Slice', opset: 9, title: 'axes', inputs: [x], attributes: { starts: ints(1), ends: ints(-1), axes: ints(2) } },
  {
    op: 'Pad',
    opset: 10,
    title: 'value',
    inputs: [x],
    attributes: { pads: ints(0, 1, 0, 0, 0, 2), value: float(1.5) },
  },
  { op: 'Clip', opset: 10, title: 'both bounds', inputs: [x], attributes: { min: float(-0.5), max: float(0.25) } },
  { op: 'Clip', opset: 10, title: 'upper bound', inputs: [x], attributes: { max: float(0.25) } },
  { op: 'TopK', opset: 9, title: 'k', inputs: [x], attributes: { k: int(2), axis: int(1) }, outputs: ['v', 'i'] },
  { op: 'Dropout', opset: 7, title: 'inference', inputs: [x], attributes: { ratio: float(0.3) }, becomes: 'Dropout' },
  { op: 'Dropout', opset: 11, title: 'ratio', inputs: [x], attributes: { ratio: float(0.3) }, becomes: 'Dropout' },
  { op: 'Softmax', opset: 11, title: 'last axis', inputs: [x], attributes: { axis: int(2) }, becomes: 'Softmax' },
  { op: 'Softmax', opset: 11, title: 'flattened', inputs: [x], becomes: 'Shape,Flatten,Softmax,Reshape' },
  { op: 'LogSoftmax', opset: 11, title: 'other axes are 1', inputs: [noise(1, [2, 5, 1, 1])], becomes: 'LogSoftmax' },
  { op: 'Hardmax', opset: 11, title: 'flattened from 0', inputs: [x], attributes: { axis: int(0) } },
  {
    op: 'Upsample',
    opset: 7,
    title: 'nearest',
    inputs: [image],
    attributes: { scales: { kind: 'floats', value: [1, 1, 2, 3] } },
    becomes: 'Resize',
  },
  {
    op: 'Upsample',
    opset: 9,
    title: 'linear',
    inputs: [image, scales(1, 1, 2, 2)],
    constant: [1],
    attributes: { mode: text('linear') },
  },
  { op: 'Resize', opset: 10, title: 'nearest, up', inputs: [image, scales(1, 1, 1.7, 2)], constant: [1] },
  { op: 'Resize', opset: 10, title: 'nearest, down', inputs: [image, scales(1, 1, 0.6, 0.5)], constant: [1] },
  {
    op: 'Resize',
    opset: 10,
    title: 'nearest, up and down',
    inputs: [image, scales(1, 1, 2, 0.6)],
    constant: [1],
    becomes: 'Resize,Resize',
  },
  {
    op: 'Resize',
    opset: 10,
    title: 'linear',
    inputs: [image, scales(1, 1, 0.6, 2)],
    constant: [1],
    attributes: { mode: text('linear') },
  },
  {
    op: 'BatchNormalization',
    opset: 8,
    title: 'channels',
    inputs: [image, noise(3, [2]), noise(4, [2]), noise(5, [2]), float32([0.5, 2])],
    attributes: { epsilon: float(0.01), spatial: int(1) },
    becomes: 'BatchNormalization',
  },
  {
    op: 'BatchNormalization',
    opset: 8,
    title: 'every element',
    inputs: [noise(1, [3, 2]), noise(3, [2]), noise(4, [2]), noise(5, [2]), float32([0.5, 2])],
    attributes: { epsilon: float(0.01), spatial: int(0) },
    becomes: 'Add,Sqrt,Sub,Div,Mul,Add',
  },
  {
    op: 'GridSample',
    opset: 16,
    title: 'bilinear',
    inputs: [image, noise(7, [1, 3, 3, 2])],
    attributes: { mode: text('bilinear') },
  },
  {
    op: 'RoiAlign',
    opset: 10,
    title: 'default mapping',
    inputs: [image, float32([0, 0, 3, 3], [1, 4]), int64([0])],
    attributes: { output_height: int(2), output_width: int(2), sampling_ratio: int(2) },
  },
  {
    op: 'DFT',
    opset: 17,
    title: 'axis',
    inputs: [noise(1, [2, 4, 1])],
    attributes: { axis: int(1), onesided: int(1) },
  },
  {
    op: 'Scatter',
    opset: 9,
    title: 'renamed',
    inputs: [x, int64([1, 0], [1, 1, 2]), noise(3, [1, 1, 2])],
    attributes: { axis: int(1) },
    becomes: 'ScatterElements',
  },
  {
    op: 'GroupNormalization',
    opset: 20,
    title: 'per group',
    inputs: [image, float32([0.5, 2]), float32([1, -1])],
    constant: [1, 2],
    attributes: { num_groups: int(2) },
  },
  {
    op: 'RoiAlign',
    opset: 15,
    title: 'average',
    inputs: [image, float32([0, 0, 3, 3], [1, 4]), int64([0])],
    attributes: { mode: text('avg') },
  },
]

async function computes(model: Model, inputs: readonly Tensor[]) {
  const session = await openSession(writeModel(model))
  const outputs = await run(session, inputs)
  await session.release()
  return outputs
}

describe('raising an old operator', () => {
  for (const item of cases)
    test(`${item.op} of opset ${item.opset}, ${item.title}`, async () => {
      const model = oldModel(item.op, item.opset, item.inputs, item.attributes ?? {}, item)
      const raised = raiseOpset(model)
      expect(raised.opsets.get('')).toBe(21)
      expect(verify(raised)).toEqual([])
      if (item.becomes) expect(raised.graph.nodes.map((node) => node.op).join()).toBe(item.becomes)
      const fed = item.inputs.filter((_, i) => !item.constant?.includes(i))
      expect(difference(await computes(model, fed), await computes(raised, fed))).toBeUndefined()
    })
})

describe('forms that onnxruntime no longer runs', () => {
  test('broadcasting at an axis puts axes behind the second operand', async () => {
    const model = oldModel('Add', 6, [x, noise(2, [3])], { broadcast: int(1), axis: int(1) })
    const raised = raiseOpset(model)
    expect(raised.graph.nodes.map((node) => node.op)).toEqual(['Unsqueeze', 'Add'])
    const { out } = await computes(raised, [x, noise(2, [3])])
    const [a, b] = [x.data, noise(2, [3]).data]
    const expected = Array.from(a, (value, i) => Math.fround(value + b[Math.floor(i / 4) % 3]))
    expect([...(out.data as Float32Array)]).toEqual(expected)
  })

  test('a slope a channel gets the axes of the image', () => {
    const raised = raiseOpset(oldModel('PRelu', 6, [image, noise(2, [2])], {}))
    const unsqueeze = raised.graph.nodes[0]
    expect(raised.graph.initializers.get(unsqueeze.inputs[1])).toEqual(int64([1, 2]))
  })

  test('the mask of an old Dropout keeps its type', async () => {
    const model = oldModel('Dropout', 7, [x], { ratio: float(0.5) }, { outputs: ['y', 'mask'] })
    const raised = raiseOpset(model)
    expect(verify(raised)).toEqual([])
    const { y, mask } = await computes(raised, [x])
    expect(y.data).toEqual(x.data)
    expect(mask.type).toBe('float32')
    expect(new Set(mask.data as Float32Array)).toEqual(new Set([1]))
  })

  test('a BatchNormalization with running statistics as outputs trains', () => {
    const inputs = [image, noise(3, [2]), noise(4, [2]), noise(5, [2]), float32([0.5, 2])]
    const raised = raiseOpset(oldModel('BatchNormalization', 9, inputs, {}, { outputs: ['y', 'm', 'v', '', ''] }))
    expect(raised.graph.nodes[0].outputs).toEqual(['y', 'm', 'v'])
    expect(raised.graph.nodes[0].attributes['training_mode']).toEqual(int(1))
  })

  test('the Scan of opset 8 is refused by name', () => {
    expect(() => raiseOpset(oldModel('Scan', 8, [x], {}))).toThrow(UnsupportedError)
  })
})

describe('what stays as it is', () => {
  test('models above the canonical opset keep theirs', () => {
    const model = oldModel('Relu', 23, [x], {})
    expect(raiseOpset(model).opsets.get('')).toBe(23)
  })

  test('unknown operators and other domains pass through', () => {
    const model = oldModel('Novel', 11, [x], { axes: ints(1) })
    const other = { ...model.graph.nodes[0], op: 'Squeeze', domain: 'com.example' }
    const raised = raiseOpset({ ...model, graph: { ...model.graph, nodes: [other] } })
    expect(raised.graph.nodes).toEqual([other])
    expect(raiseOpset(model).graph.nodes).toEqual(model.graph.nodes)
  })

  test('weights listed as inputs are inputs no longer', () => {
    const model = oldModel('Add', 8, [x, x], {}, { constant: [1] })
    const listed = [...model.graph.inputs, { name: 'in1', type: { dtype: 'float32', shape: x.shape } as const }]
    const raised = raiseOpset({ ...model, irVersion: 3, graph: { ...model.graph, inputs: listed } })
    expect(raised.graph.inputs.map((info) => info.name)).toEqual(['in0'])
    expect(raised.irVersion).toBe(10)
  })
})

test('axes that a function takes from its caller become a Constant that refers to them', async () => {
  const model = functionModel()
  const [item] = model.functions
  const body = [
    {
      ...item.nodes[1],
      op: 'Unsqueeze',
      inputs: ['a'],
      outputs: ['c'],
      attributes: { axes: { kind: 'reference', value: 'axes', extras: { type: 7 } } as const },
    },
  ]
  const old: Model = {
    ...model,
    opsets: new Map([
      ['', 11],
      ['test', 1],
    ]),
    functions: [{ ...item, attributes: ['axes'], nodes: body, opsets: new Map([['', 11]]) }],
    graph: {
      ...model.graph,
      nodes: [{ ...model.graph.nodes[0], attributes: { axes: ints(0) } }],
      outputs: [{ name: model.graph.outputs[0].name }],
    },
  }
  const raised = readModel(writeModel(old))
  expect(raised.functions[0].nodes.map((node) => node.op)).toEqual(['Constant', 'Unsqueeze'])
  const outputs = await computes(raised, [noise(1, [4])])
  expect(Object.values(outputs)[0].dims).toEqual([1, 4])
})
