import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DataError, ModelError, UnsupportedError } from '../../../../src/errors.ts'
import * as pb from '../../../../src/formats/onnx/onnx_pb.ts'
import { readModel } from '../../../../src/formats/onnx/read.ts'
import { readTensor, tensorChunks } from '../../../../src/formats/onnx/tensors.ts'
import { concatenate } from '../../../../src/formats/onnx/wire.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { createDraft } from '../../../../src/ir/draft.ts'
import { elementType } from '../../../../src/ir/element-type.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { dtypes, storageLength, type DType, type NumericData } from '../../../../src/tensor/dtype.ts'
import { createTensor, elementCount, float32, identical, type Tensor } from '../../../../src/tensor/tensor.ts'
import { functionModel, ifModel, smallCnn } from '../../../support/onnx-models.ts'

const allTypes = Object.keys(dtypes) as DType[]

/** A tensor of any type with arbitrary bits (0 or 1 for bool). */
const anyTensor = fc
  .record({
    dtype: fc.constantFrom(...allTypes),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    seed: fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
  })
  .map(({ dtype, shape, seed }): Tensor => {
    const length = storageLength(dtype, elementCount(shape))
    const next = () => Number(seed.next().value)
    if (dtype === 'string')
      return createTensor(
        dtype,
        shape,
        Array.from({ length }, () => `ü${next()}`),
      )
    const data = new dtypes[dtype].array(length)
    const bytes = new Uint8Array(data.buffer)
    for (let i = 0; i < bytes.length; i++) bytes[i] = dtype === 'bool' ? next() & 1 : next()
    return createTensor(dtype, shape, data)
  })

function modelProto(model: Model): pb.ModelProto {
  return fromBinary(pb.ModelProtoSchema, writeModel(model))
}

function readProto(proto: pb.ModelProto, keepOpset = true): Model {
  return readModel(toBinary(pb.ModelProtoSchema, proto), { keepOpset })
}

describe('tensors', () => {
  test('of every type and shape come back bit for bit', () => {
    fc.assert(
      fc.property(anyTensor, fc.string(), (tensor, name) => {
        const read = readTensor(concatenate(tensorChunks(name, tensor)), 'test')
        expect(read.name).toBe(name)
        expect(identical(read.tensor, tensor)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  const stored: readonly [DType, Partial<pb.TensorProto>, readonly (number | bigint)[]][] = [
    ['float32', { floatData: [1.5, -2] }, [1.5, -2]],
    ['float64', { doubleData: [1e300, -2] }, [1e300, -2]],
    ['complex64', { floatData: [1, 2, 3, 4] }, [1, 2, 3, 4]],
    ['int32', { int32Data: [-(2 ** 31), 7] }, [-(2 ** 31), 7]],
    ['int16', { int32Data: [-5, 7] }, [-5, 7]],
    ['int8', { int32Data: [-128, 127] }, [-128, 127]],
    ['uint8', { int32Data: [255, 0] }, [255, 0]],
    ['uint16', { int32Data: [65535, 1] }, [65535, 1]],
    ['bool', { int32Data: [1, 0] }, [1, 0]],
    ['float16', { int32Data: [0x3c00, 0xc000] }, [0x3c00, 0xc000]],
    ['bfloat16', { int32Data: [0x3f80, 1] }, [0x3f80, 1]],
    ['float8e4m3fn', { int32Data: [200, 1] }, [200, 1]],
    ['int4', { int32Data: [0xf1] }, [0xf1]],
    ['int64', { int64Data: [-(2n ** 63n), 2n ** 63n - 1n] }, [-(2n ** 63n), 2n ** 63n - 1n]],
    ['uint32', { uint64Data: [2n ** 32n - 1n, 1n] }, [2 ** 32 - 1, 1]],
    ['uint64', { uint64Data: [2n ** 64n - 1n, 1n] }, [2n ** 64n - 1n, 1n]],
  ]
  for (const [dtype, fields, values] of stored)
    test(`${dtype} is read from its own field`, () => {
      const proto = create(pb.TensorProtoSchema, { dims: [2n], dataType: elementType(dtype), name: 't' })
      Object.assign(proto, fields)
      const { tensor } = readTensor(toBinary(pb.TensorProtoSchema, proto), 'test')
      expect([...(tensor.data as unknown as number[])]).toEqual(values)
      expect(tensor.dtype).toBe(dtype)
    })

  test('raw data is a view where it is aligned and a copy where it is not', () => {
    const bytes = concatenate(tensorChunks('abc', float32([1, 2, 3, 4])))
    const offset = bytes.length - 16
    for (let shift = 0; shift < 4; shift++) {
      const buffer = new Uint8Array(bytes.length + shift)
      buffer.set(bytes, shift)
      const { tensor } = readTensor(buffer.subarray(shift), 'test')
      expect([...(tensor.data as Float32Array)]).toEqual([1, 2, 3, 4])
      expect((tensor.data as NumericData).buffer === buffer.buffer).toBe((shift + offset) % 4 === 0)
      const moved = readTensor(buffer.subarray(shift), 'test', undefined, true).tensor
      expect([...(moved.data as Float32Array)]).toEqual([1, 2, 3, 4])
      expect((moved.data as NumericData).buffer === buffer.buffer).toBe(true)
    }
  })

  test('a shape that the data does not fill is a DataError that names the tensor', () => {
    const proto = create(pb.TensorProtoSchema, {
      dims: [1n << 50n],
      dataType: 1,
      name: 'huge',
      rawData: new Uint8Array(8),
    })
    expect(() => readTensor(toBinary(pb.TensorProtoSchema, proto), 'file.onnx')).toThrow(DataError)
    proto.dims = [1n << 40n]
    expect(() => readTensor(toBinary(pb.TensorProtoSchema, proto), 'file.onnx')).toThrow(/needs 4398046511104/)
    proto.dims = [-1n]
    expect(() => readTensor(toBinary(pb.TensorProtoSchema, proto), 'file.onnx')).toThrow(/negative/)
    proto.dims = [2n]
    proto.dataType = 99
    expect(() => readTensor(toBinary(pb.TensorProtoSchema, proto), 'file.onnx')).toThrow(UnsupportedError)
  })
})

const unknown = (no: number) => [{ no, wireType: 2, data: Uint8Array.of(3, 97, 98, 99) }]
const attribute = (name: string, type: number, fields: Partial<pb.AttributeProto>) =>
  Object.assign(create(pb.AttributeProtoSchema, { name, type }), fields)
const raw = (tensor: Tensor, name: string) => fromBinary(pb.TensorProtoSchema, concatenate(tensorChunks(name, tensor)))

describe('models', () => {
  for (const [name, make] of Object.entries({ smallCnn, ifModel, functionModel }))
    test(`${name} is written the same each time, and after reading`, () => {
      const bytes = writeModel(make())
      expect(writeModel(make())).toEqual(bytes)
      const read = readModel(bytes)
      expect(writeModel(read)).toEqual(bytes)
      expect(read.graph.nodes.map((node) => node.op)).toEqual(make().graph.nodes.map((node) => node.op))
    })

  test('symbolic, open and unknown sizes stay what they are', () => {
    const draft = createDraft()
    draft.input('a', 'float32', ['batch', null, 3])
    draft.input('b', 'float32')
    draft.output(draft.add('Identity', ['a']))
    const { graph } = readModel(writeModel(draft.finish()))
    expect(graph.inputs.map((info) => info.type?.shape)).toEqual([['batch', null, 3], undefined])
    expect(graph.outputs[0].type).toBeUndefined()
  })

  test('fields that nothing here interprets survive at every level', () => {
    const proto = modelProto(ifModel())
    const entry = create(pb.StringStringEntryProtoSchema, { key: 'k', value: 'v' })
    const graph = proto.graph!
    const inner = graph.node[0].attribute[0].g!
    proto.$unknown = unknown(900)
    proto.trainingInfo = [create(pb.TrainingInfoProtoSchema, { initializationBinding: [entry] })]
    proto.configuration = [create(pb.DeviceConfigurationProtoSchema, { name: 'gpus', numDevices: 2 })]
    graph.$unknown = unknown(901)
    graph.metadataProps = [entry]
    graph.quantizationAnnotation = [create(pb.TensorAnnotationSchema, { tensorName: 'x' })]
    graph.node[0].$unknown = unknown(902)
    graph.node[0].overload = 'variant'
    graph.node[0].metadataProps = [entry]
    graph.node[0].attribute[0].$unknown = unknown(903)
    graph.node[0].attribute[0].docString = 'why'
    graph.initializer[0].$unknown = unknown(904)
    graph.initializer[0].docString = 'weights'
    graph.input[0].$unknown = unknown(905)
    graph.input[0].type!.denotation = 'IMAGE'
    const type = graph.input[0].type!.value as { case: 'tensorType'; value: pb.TypeProto_Tensor }
    type.value.shape!.dim[0].denotation = 'DATA_BATCH'
    type.value.shape!.dim[1].$unknown = unknown(906)
    inner.$unknown = unknown(907)
    inner.node[0].docString = 'inner'
    expect(modelProto(readProto(proto))).toEqual(proto)
    expect(modelProto(readProto(proto, false))).toEqual(proto)
  })

  test('attributes of every kind survive, strings that are not UTF-8 too', () => {
    const proto = modelProto(ifModel())
    const T = pb.AttributeProto_AttributeType
    const tensor = create(pb.TensorProtoSchema, { dims: [1n], dataType: 1, name: 'named', rawData: new Uint8Array(4) })
    const sparse = create(pb.SparseTensorProtoSchema, { values: tensor, dims: [4n] })
    const typeProto = create(pb.TypeProtoSchema, { denotation: 'd' })
    proto.graph!.node[0].attribute.push(
      attribute('f', T.FLOAT, { f: 0.1 }),
      attribute('zero', T.FLOAT, { f: 0 }),
      attribute('i', T.INT, { i: 2n ** 62n + 1n }),
      attribute('s', T.STRING, { s: Uint8Array.of(0xc3, 0xbc) }),
      attribute('bytes', T.STRING, { s: Uint8Array.of(0xff, 0xfe, 0) }),
      attribute('bom', T.STRING, { s: Uint8Array.of(0xef, 0xbb, 0xbf, 65) }),
      attribute('strings', T.STRINGS, { strings: [Uint8Array.of(65), Uint8Array.of(0xff)] }),
      attribute('floats', T.FLOATS, { floats: [1, 2.5] }),
      attribute('none', T.INTS, {}),
      attribute('tensor', T.TENSOR, { t: tensor }),
      attribute('tensors', T.TENSORS, { tensors: [tensor, tensor] }),
      attribute('sparse', T.SPARSE_TENSOR, { sparseTensor: sparse }),
      attribute('sparses', T.SPARSE_TENSORS, { sparseTensors: [sparse] }),
      attribute('type', T.TYPE_PROTO, { tp: typeProto }),
      attribute('types', T.TYPE_PROTOS, { typeProtos: [typeProto] }),
      attribute('reference', T.FLOAT, { refAttrName: 'outer' }),
      attribute('__proto__', T.INT, { i: 1n }),
    )
    const written = modelProto(readProto(proto))
    expect(toBinary(pb.ModelProtoSchema, written)).toEqual(toBinary(pb.ModelProtoSchema, proto))
  })

  test('values that are no tensors keep their type', () => {
    const proto = modelProto(smallCnn())
    const elemType = create(pb.TypeProtoSchema, {
      value: { case: 'tensorType', value: create(pb.TypeProto_TensorSchema, { elemType: 1 }) },
    })
    const sequence = create(pb.TypeProto_SequenceSchema, { elemType })
    proto.graph!.input[0].type = create(pb.TypeProtoSchema, { value: { case: 'sequenceType', value: sequence } })
    const read = readProto(proto)
    expect(read.graph.inputs[0].type).toBeUndefined()
    expect(modelProto(read)).toEqual(proto)
  })

  test('a string tensor that is not UTF-8 survives', () => {
    const proto = modelProto(smallCnn())
    const strings = [Uint8Array.of(0xff, 1), Uint8Array.of(65)]
    proto.graph!.initializer.push(
      create(pb.TensorProtoSchema, { dims: [2n], dataType: 8, name: 's', stringData: strings }),
    )
    expect(modelProto(readProto(proto)).graph!.initializer.at(-1)!.stringData).toEqual(strings)
  })

  test('a sparse initializer becomes dense', () => {
    const proto = modelProto(smallCnn())
    const indices = createTensor('int64', [2, 2], BigInt64Array.of(0n, 1n, 1n, 0n))
    proto.graph!.sparseInitializer = [
      create(pb.SparseTensorProtoSchema, {
        values: raw(float32([5, 7]), 'sparse'),
        indices: raw(indices, ''),
        dims: [2n, 2n],
      }),
    ]
    expect(readProto(proto).graph.initializers.get('sparse')).toEqual(float32([0, 5, 7, 0], [2, 2]))
    proto.graph!.sparseInitializer[0].dims = [2n, 1n]
    expect(() => readProto(proto)).toThrow(DataError)
    proto.graph!.sparseInitializer[0].dims = [1n << 20n, 1n << 20n]
    expect(() => readProto(proto)).toThrow(UnsupportedError)
  })

  test('nodes out of order are sorted, a cycle is a ModelError that names the nodes', () => {
    const proto = modelProto(smallCnn())
    proto.graph!.node.reverse()
    expect(writeModel(readProto(proto)).length).toBeGreaterThan(0)
    expect(readProto(proto).graph.nodes[0].name).not.toBe('fc')
    proto.graph!.node.find((node) => node.name === 'conv')!.input[0] = proto.graph!.output[0].name
    expect(() => readProto(proto)).toThrow(/conv.*→/)
    expect(() => readProto(proto)).toThrow(ModelError)
  })

  test('two initializers of one name are a ModelError', () => {
    const proto = modelProto(smallCnn())
    proto.graph!.initializer.push(proto.graph!.initializer[0])
    expect(() => readProto(proto)).toThrow(/two initializers are named/)
  })

  test("Espalier's own operators are not written", () => {
    const draft = createDraft()
    draft.output(draft.add('espalier.ReluGrad', [draft.input('x', 'float32', [1]), 'x']))
    expect(() => writeModel(draft.finish())).toThrow(UnsupportedError)
  })
})
