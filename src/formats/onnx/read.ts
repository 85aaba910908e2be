/** ONNX bytes to a Model. */
import { fromBinary, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf'
import { DataError, EspalierError, ModelError } from '../../errors.ts'
import { sortGraph } from '../../ir/graph.ts'
import type { Graph, LocalFunction, Model } from '../../ir/model.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { raiseOpset } from '../../ir/upgrade/raise.ts'
import { leftover, type GraphExtras } from './extras.ts'
import { readAttribute, readNode, readValueInfo } from './parts.ts'
import {
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  TensorProtoSchema,
  type FunctionProto,
  type GraphProto,
  type OperatorSetIdProto,
  type StringStringEntryProto,
} from './onnx_pb.ts'
import { readSparse } from './sparse.ts'
import { readTensor, type ExternalData, type ReadTensor, type TensorExtras } from './tensors.ts'
import { concatenate, plainBytes, scanFields } from './wire.ts'

export interface ReadOptions {
  /** Where the bytes of external data come from; without it a model that has any is refused. */
  readonly externalData?: ExternalData
  /** Name of the source in error messages, a path say. Default 'model'. */
  readonly place?: string
  /** Leave the operators in the form of the opset that the file declares. Default false: all rules assume raised ones. */
  readonly keepOpset?: boolean
  /** The bytes may be overwritten while they are read, so that the weights need not be copied. Default false. */
  readonly owned?: boolean
}

/**
 * Reads an ONNX model and raises its operators to the canonical opset.
 * Raw tensor data becomes views of `bytes` where the alignment allows it: do not write to them afterwards.
 * @throws DataError when the bytes are damaged, ModelError when what they say is no model (a cycle, a duplicate
 * initializer), UnsupportedError for element types that are not represented.
 */
export function readModel(bytes: Uint8Array, options: ReadOptions = {}): Model {
  const place = options.place ?? 'model'
  try {
    const model = parseModel(plainBytes(bytes), {
      place,
      externalData: options.externalData,
      owned: options.owned ?? false,
    })
    return options.keepOpset ? model : raiseOpset(model)
  } catch (error) {
    if (error instanceof EspalierError) throw error
    if (!(error instanceof RangeError)) throw error
    throw new DataError('onnx-nesting', 'the model is nested too deeply or declares more than fits memory', {
      place,
      cause: error,
    })
  }
}

export interface ReadContext {
  readonly place: string
  readonly externalData: ExternalData | undefined
  readonly owned: boolean
}

const graphField = 7
const initializerField = 5

/** Decodes with the general decoder, whose errors are all about malformed bytes. */
function decode<D extends DescMessage>(schema: D, bytes: Uint8Array, place: string): MessageShape<D> {
  try {
    return fromBinary(schema, bytes)
  } catch (error) {
    throw new DataError('onnx-protobuf', `the bytes are no ${schema.typeName}: ${(error as Error).message}`, {
      place,
      hint: 'The file is damaged or is not an ONNX model; fetch or export it again.',
      cause: error,
    })
  }
}

/** Files that often lie where a model should. @throws DataError that says what the file is. */
function refuseOtherFiles(bytes: Uint8Array, place: string): void {
  const refuse = (message: string, hint: string): never => {
    throw new DataError('onnx-other-file', message, { place, hint })
  }
  if (bytes.length === 0) refuse('the file is empty', 'Fetch or export it again.')
  const start = String.fromCharCode(...bytes.subarray(0, 64))
  if (start.startsWith('version https://git-lfs'))
    refuse('the file is a pointer of Git LFS, not the model', 'Fetch the model itself with: git lfs pull')
  if (/^\s*<(?:!doctype|html|\?xml)/i.test(start))
    refuse('the file is a web page, not a model', 'Look at it in a browser; it may say why the download failed.')
}

function parseModel(bytes: Uint8Array, context: ReadContext): Model {
  const { place } = context
  refuseOtherFiles(bytes, place)
  const header: Uint8Array[] = []
  const graphRest: Uint8Array[] = []
  const initializers: Uint8Array[] = []
  let hasGraph = false
  scanFields(bytes, place, (field) => {
    if (field.number !== graphField || field.type !== 2) {
      header.push(bytes.subarray(field.start, field.end))
      return
    }
    hasGraph = true
    const graph = bytes.subarray(field.valueStart, field.end)
    scanFields(graph, `${place}, graph`, (inner) => {
      if (inner.number === initializerField && inner.type === 2)
        initializers.push(graph.subarray(inner.valueStart, inner.end))
      else graphRest.push(graph.subarray(inner.start, inner.end))
    })
  })
  if (!hasGraph)
    throw new DataError('onnx-no-graph', 'the file holds no graph', {
      place,
      hint: 'Check that this is an ONNX model and not some other file.',
    })
  const proto = decode(ModelProtoSchema, concatenate(header), place)
  const graph = readGraph(decode(GraphProtoSchema, concatenate(graphRest), place), context, initializers)
  return {
    irVersion: Number(proto.irVersion),
    opsets: readOpsets(proto.opsetImport),
    graph: sortGraph(graph),
    functions: proto.functions.map((item) => readFunction(item, context)),
    producerName: proto.producerName || undefined,
    producerVersion: proto.producerVersion || undefined,
    domain: proto.domain || undefined,
    modelVersion: proto.modelVersion === 0n ? undefined : safeNumber(proto.modelVersion),
    doc: proto.docString || undefined,
    metadata: new Map(proto.metadataProps.map(({ key, value }: StringStringEntryProto) => [key, value])),
    extras: leftover(ModelProtoSchema, proto, modelFields),
  }
}

const modelFields = new Set([
  'irVersion',
  'opsetImport',
  'graph',
  'functions',
  'producerName',
  'producerVersion',
  'domain',
  'modelVersion',
  'docString',
  'metadataProps',
])
const graphFields = new Set([
  'node',
  'name',
  'initializer',
  'sparseInitializer',
  'docString',
  'input',
  'output',
  'valueInfo',
])
const functionFields = new Set([
  'name',
  'domain',
  'input',
  'output',
  'attribute',
  'attributeProto',
  'node',
  'docString',
  'opsetImport',
])

/** Integers beyond 2^53 stay bigint. */
export function safeNumber(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

function readOpsets(imports: readonly OperatorSetIdProto[]): ReadonlyMap<string, number> {
  const result = new Map<string, number>()
  for (const { domain, version } of imports) {
    const key = standardDomain(domain)
    result.set(key, Math.max(result.get(key) ?? 0, Number(version)))
  }
  if (!result.has('') && imports.length === 0) result.set('', 1)
  return result
}

/** 'ai.onnx' is the long name of the standard domain. */
export function standardDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain
}

/** `initializers` are the wire bytes of TensorProtos that were taken out of the graph beforehand. */
export function readGraph(proto: GraphProto, context: ReadContext, initializers: readonly Uint8Array[] = []): Graph {
  const place = `${context.place}, graph '${proto.name}'`
  const tensors = new Map<string, Tensor>()
  const tensorExtras = new Map<string, TensorExtras>()
  const nested = proto.initializer.map((tensor) => toBinary(TensorProtoSchema, tensor))
  const add = ({ name, tensor, extras }: ReadTensor) => {
    if (name === '') throw new ModelError('initializer-name', 'an initializer has no name', { place })
    if (tensors.has(name))
      throw new ModelError('duplicate-initializer', `two initializers are named '${name}'`, { place })
    tensors.set(name, tensor)
    if (extras) tensorExtras.set(name, extras)
  }
  for (const bytes of [...initializers, ...nested]) add(readTensor(bytes, place, context.externalData, context.owned))
  for (const sparse of proto.sparseInitializer) add(readSparse(sparse, place, context.externalData))
  const fields = leftover(GraphProtoSchema, proto, graphFields)
  const extras: GraphExtras | undefined =
    fields || tensorExtras.size > 0 ? { fields, tensors: tensorExtras.size > 0 ? tensorExtras : undefined } : undefined
  return {
    name: proto.name,
    nodes: proto.node.map((node) => readNode(node, context)),
    inputs: proto.input.map(readValueInfo),
    outputs: proto.output.map(readValueInfo),
    initializers: tensors,
    values: proto.valueInfo.map(readValueInfo),
    doc: proto.docString || undefined,
    extras,
  }
}

function readFunction(proto: FunctionProto, context: ReadContext): LocalFunction {
  const inner = { ...context, place: `${context.place}, function '${proto.name}'` }
  return {
    name: proto.name,
    domain: standardDomain(proto.domain),
    inputs: proto.input,
    outputs: proto.output,
    attributes: proto.attribute,
    attributeDefaults: Object.fromEntries(
      proto.attributeProto.map((attribute) => [attribute.name, readAttribute(attribute, inner)]),
    ),
    nodes: proto.node.map((node) => readNode(node, inner)),
    opsets: readOpsets(proto.opsetImport),
    doc: proto.docString || undefined,
    extras: leftover(FunctionProtoSchema, proto, functionFields),
  }
}
