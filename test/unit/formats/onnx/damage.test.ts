/** Whatever is done to the bytes of a model: a typed error or a model, never a crash. */
import { create, toBinary } from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DataError, EspalierError } from '../../../../src/errors.ts'
import * as pb from '../../../../src/formats/onnx/onnx_pb.ts'
import { readModel } from '../../../../src/formats/onnx/read.ts'
import { concatenate, delimited, varint } from '../../../../src/formats/onnx/wire.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { foldConstants } from '../../../../src/ir/fold.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import { inferShapes } from '../../../../src/ir/shapes.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { noise, functionModel, ifModel, oldModel, smallCnn } from '../../../support/onnx-models.ts'

const softmax = oldModel('Softmax', 11, [noise(1, [2, 3, 4])], { axis: { kind: 'int', value: 1 } })
const seeds = [smallCnn(), ifModel(), functionModel(), softmax].map((model) => writeModel(model))

/** Reads, and does with the result what every command does first. */
function survives(bytes: Uint8Array): void {
  try {
    const model = readModel(bytes)
    verify(model)
    layers(model)
    inferShapes(model)
    writeModel(foldConstants(model))
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error
    expect(error.code).toMatch(/^[a-z0-9-]+$/)
  }
}

/** scripts/fuzz.mjs asks for more. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 600)
const SEED = Number(process.env['FUZZ_SEED'] ?? 21)

const seed = fc.constantFrom(...seeds)
const fraction = fc.double({ min: 0, max: 1, noNaN: true })
const at = (bytes: Uint8Array, part: number) => Math.min(bytes.length - 1, Math.floor(part * bytes.length))

describe('damaged bytes', () => {
  test('cut anywhere', () => {
    for (const bytes of seeds)
      for (let i = 0; i < bytes.length; i += Math.ceil(bytes.length / 300)) survives(bytes.subarray(0, i))
  })

  test('bits flipped', () => {
    fc.assert(
      fc.property(seed, fc.array(fc.tuple(fraction, fc.nat(7)), { minLength: 1, maxLength: 8 }), (bytes, flips) => {
        const damaged = bytes.slice()
        for (const [part, bit] of flips) damaged[at(bytes, part)] ^= 1 << bit
        survives(damaged)
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })

  test('spliced from two models', () => {
    fc.assert(
      fc.property(seed, seed, fraction, fraction, fraction, (a, b, from, to, length) => {
        const piece = b.subarray(at(b, from), at(b, from) + at(b, length))
        survives(concatenate([a.subarray(0, at(a, to)), piece, a.subarray(at(a, to))]))
      }),
      { numRuns: Math.ceil(RUNS / 2), seed: SEED },
    )
  })

  test('random', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => survives(bytes)),
      { numRuns: Math.ceil(RUNS / 2), seed: SEED },
    )
  })

  test('that are empty, or another file, say so', () => {
    expect(() => readModel(new Uint8Array())).toThrow(/the file is empty/)
    expect(() => readModel(new TextEncoder().encode('<html>not a model</html>'))).toThrow(/web page/)
    expect(() => readModel(new TextEncoder().encode('PK\u0003\u0004zip'), { place: 'a.onnx' })).toThrow(
      expect.objectContaining({ place: 'a.onnx' }),
    )
  })
})

describe('hostile bytes', () => {
  test('a length of a petabyte allocates nothing', () => {
    for (const length of [2 ** 31, 2 ** 50]) {
      const bytes = concatenate([varint(7 * 8 + 2), varint(length), new Uint8Array(10)])
      expect(() => readModel(bytes)).toThrow(DataError)
    }
  })

  test('graphs nested without end stop at a depth', () => {
    let graph: Uint8Array[] = []
    for (let depth = 0; depth < 2000; depth++)
      graph = delimited(1, [concatenate(delimited(5, [concatenate(delimited(6, [concatenate(graph)]))]))])
    expect(() => readModel(concatenate(delimited(7, graph)))).toThrow(DataError)
  })

  test('types nested without end stop at a depth', () => {
    let type: Uint8Array = new Uint8Array()
    for (let depth = 0; depth < 5000; depth++) type = concatenate(delimited(4, delimited(1, [type])))
    const input = delimited(11, [concatenate(delimited(2, [type]))])
    expect(() => readModel(concatenate(delimited(7, input)))).toThrow(DataError)
  })

  test('a Constant that declares terabytes of zeros is refused before anything is allocated', () => {
    const t = create(pb.TensorProtoSchema, { dims: [1n << 20n, 1n << 20n], dataType: 1 })
    const attribute = create(pb.AttributeProtoSchema, { name: 'value', type: 4, t })
    const node = create(pb.NodeProtoSchema, { opType: 'Constant', output: ['c'], attribute: [attribute] })
    const proto = create(pb.ModelProtoSchema, { irVersion: 10n, graph: create(pb.GraphProtoSchema, { node: [node] }) })
    expect(() => readModel(toBinary(pb.ModelProtoSchema, proto))).toThrow(DataError)
  })

  test('shape rules that multiply to terabytes are not computed', () => {
    const model = oldModel('ConstantOfShape', 21, [], {})
    const size = { dtype: 'int64', shape: [2], data: BigInt64Array.of(1n << 20n, 1n << 20n) } as const
    const graph = { ...model.graph, initializers: new Map([['n', size]]) }
    const node = { ...graph.nodes[0], inputs: ['n'] }
    survives(writeModel({ ...model, graph: { ...graph, nodes: [node] } }))
  })

  test('functions that call each other end', () => {
    const model = functionModel()
    const [item] = model.functions
    const call = { ...model.graph.nodes[0], inputs: ['a'], outputs: ['c'] }
    const opsets = new Map([
      ['', 21],
      ['test', 1],
    ])
    survives(writeModel({ ...model, functions: [{ ...item, nodes: [call], opsets }] }))
    const twice = [call, { ...call, inputs: ['c'], outputs: ['d'] }]
    survives(writeModel({ ...model, functions: [{ ...item, nodes: twice, opsets }] }))
  })
})
