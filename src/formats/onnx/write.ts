/** A Model to ONNX bytes. The same model always gives the same bytes. */
import { create, fromBinary, toBinary, type Message } from '@bufbuild/protobuf'
import { UnsupportedError } from '../../errors.ts'
import { elementType } from '../../ir/element-type.ts'
import { ESPALIER_DOMAIN, type Attribute, type Graph, type LocalFunction, type Model } from '../../ir/model.ts'
import type { Node, ValueInfo } from '../../ir/model.ts'
import { byteLength, bytesOf, type Tensor } from '../../tensor/tensor.ts'
import { restore, type AttributeExtras, type GraphExtras, type ValueExtras } from './extras.ts'
import * as pb from './onnx_pb.ts'
import { tensorChunks, type ExternalPlace, type TensorExtras } from './tensors.ts'
import { concatenate, delimited, totalLength } from './wire.ts'

export interface ExternalOptions {
  /** Name of the file for the data, in the folder of the model. */
  readonly location: string
  /** Initializers of at least this many bytes go there. Default 1024. */
  readonly threshold?: number
  /** Gives each tensor a file of its own, `location` followed by 0, 1, 2 and so on: a chunk of `data` for each. */
  readonly apart?: boolean
}

export interface WriteOptions {
  /** Moves the data of large initializers to a second file; needed above 2 GB, the limit of protobuf. */
  readonly externalData?: ExternalOptions
}

/** The two files of a model as chunks to be written one after the other; `data` is empty unless asked for. */
export interface EncodedModel {
  readonly model: readonly Uint8Array[]
  readonly data: readonly Uint8Array[]
}

/** Data of external tensors starts at multiples of this, the page size, so that it can be mapped into memory. */
const PAGE = 4096
const LARGEST_PROTOBUF = 2 ** 31 - 1

/**
 * Writes an ONNX model in one piece.
 * @throws UnsupportedError when the model holds operators of Espalier's own domain, or takes 2 GB or more: write that with
 * `encodeModel` and external data.
 */
export function writeModel(model: Model): Uint8Array {
  return concatenate(encodeModel(model).model)
}

/** As `writeModel`, but without copying the weights: chunks that view them. */
export function encodeModel(model: Model, options: WriteOptions = {}): EncodedModel {
  const graph = model.graph
  const { places, data } = placeExternally(graph, options.externalData)
  const extras = graph.extras as GraphExtras | undefined
  const graphChunks: Uint8Array[] = [toBinary(pb.GraphProtoSchema, graphMessage({ ...graph, initializers: new Map() }))]
  for (const [name, tensor] of graph.initializers)
    graphChunks.push(...delimited(5, tensorChunks(name, tensor, extras?.tensors?.get(name), places.get(name))))
  const chunks: Uint8Array[] = [toBinary(pb.ModelProtoSchema, headerMessage(model)), ...delimited(7, graphChunks)]
  const bytes = totalLength(chunks)
  if (bytes > LARGEST_PROTOBUF)
    throw new UnsupportedError('onnx-too-large', `the model takes ${bytes} bytes, and an ONNX file at most 2 GB`, {
      place: graph.name,
      hint: 'Write the tensors as external data.',
    })
  return { model: chunks, data }
}

function placeExternally(
  graph: Graph,
  options: ExternalOptions | undefined,
): { places: Map<string, ExternalPlace>; data: Uint8Array[] } {
  const places = new Map<string, ExternalPlace>()
  const data: Uint8Array[] = []
  let offset = 0
  if (!options) return { places, data }
  for (const [name, tensor] of graph.initializers) {
    if (tensor.dtype === 'string' || byteLength(tensor) < (options.threshold ?? 1024)) continue
    if (options.apart) {
      places.set(name, { location: `${options.location}${data.length}`, offset: 0 })
      data.push(bytesOf(tensor))
      continue
    }
    const padding = (PAGE - (offset % PAGE)) % PAGE
    if (padding > 0) data.push(new Uint8Array(padding))
    offset += padding
    places.set(name, { location: options.location, offset })
    data.push(bytesOf(tensor))
    offset += byteLength(tensor)
  }
  return { places, data }
}

function headerMessage(model: Model): pb.ModelProto {
  const message = create(pb.ModelProtoSchema, {
    irVersion: BigInt(model.irVersion),
    opsetImport: opsetMessages(model.opsets),
    functions: model.functions.map(functionMessage),
    metadataProps: [...model.metadata].map(([key, value]) => create(pb.StringStringEntryProtoSchema, { key, value })),
  })
  if (model.producerName) message.producerName = model.producerName
  if (model.producerVersion) message.producerVersion = model.producerVersion
  if (model.domain) message.domain = model.domain
  if (model.modelVersion !== undefined) message.modelVersion = BigInt(model.modelVersion)
  if (model.doc) message.docString = model.doc
  return restore(pb.ModelProtoSchema, message, model.extras)
}

function opsetMessages(opsets: ReadonlyMap<string, number>): pb.OperatorSetIdProto[] {
  return [...opsets].map(([domain, version]) =>
    create(pb.OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
  )
}

function graphMessage(graph: Graph): pb.GraphProto {
  const extras = graph.extras as GraphExtras | undefined
  const message = create(pb.GraphProtoSchema, {
    name: graph.name,
    node: graph.nodes.map(nodeMessage),
    initializer: [...graph.initializers].map(([name, tensor]) =>
      tensorMessage(name, tensor, extras?.tensors?.get(name)),
    ),
    input: graph.inputs.map(valueMessage),
    output: graph.outputs.map(valueMessage),
    valueInfo: graph.values.map(valueMessage),
  })
  if (graph.doc) message.docString = graph.doc
  return restore(pb.GraphProtoSchema, message, extras?.fields)
}

function tensorMessage(name: string, tensor: Tensor, extras: TensorExtras | undefined): pb.TensorProto {
  return fromBinary(pb.TensorProtoSchema, concatenate(tensorChunks(name, tensor, extras)))
}

function nodeMessage(node: Node): pb.NodeProto {
  if (node.domain === ESPALIER_DOMAIN)
    throw new UnsupportedError('espalier-operator', `${node.op} is an operator of Espalier's own, not of ONNX`, {
      place: node.name || node.outputs[0],
      hint: 'Lower the model before it is written.',
    })
  const message = create(pb.NodeProtoSchema, {
    input: [...node.inputs],
    output: [...node.outputs],
    opType: node.op,
    attribute: Object.entries(node.attributes).map(([name, attribute]) => attributeMessage(name, attribute)),
  })
  if (node.name) message.name = node.name
  if (node.domain) message.domain = node.domain
  if (node.doc) message.docString = node.doc
  return restore(pb.NodeProtoSchema, message, node.extras)
}

const encoder = new TextEncoder()
const Type = pb.AttributeProto_AttributeType

function attributeMessage(name: string, attribute: Attribute): pb.AttributeProto {
  const extras = attribute.extras as AttributeExtras | undefined
  const message = create(pb.AttributeProtoSchema, { name })
  const tensor = (value: Tensor, index: number) =>
    tensorMessage(extras?.names?.[index] ?? '', value, extras?.tensors?.[index])
  switch (attribute.kind) {
    case 'float':
      message.type = Type.FLOAT
      message.f = attribute.value
      break
    case 'int':
      message.type = Type.INT
      message.i = BigInt(attribute.value)
      break
    case 'string':
      message.type = Type.STRING
      message.s = encoder.encode(attribute.value)
      break
    case 'tensor':
      message.type = Type.TENSOR
      message.t = tensor(attribute.value, 0)
      break
    case 'graph':
      message.type = Type.GRAPH
      message.g = graphMessage(attribute.value)
      break
    case 'floats':
      message.type = Type.FLOATS
      message.floats = [...attribute.value]
      break
    case 'ints':
      message.type = Type.INTS
      message.ints = attribute.value.map(BigInt)
      break
    case 'strings':
      message.type = Type.STRINGS
      message.strings = attribute.value.map((text) => encoder.encode(text))
      break
    case 'tensors':
      message.type = Type.TENSORS
      message.tensors = attribute.value.map(tensor)
      break
    case 'graphs':
      message.type = Type.GRAPHS
      message.graphs = attribute.value.map(graphMessage)
      break
    case 'reference':
      message.type = extras?.type ?? Type.UNDEFINED
      message.refAttrName = attribute.value
      break
    case 'opaque':
      fillOpaque(message, extras ?? {})
      break
  }
  return restore(pb.AttributeProtoSchema, message, extras?.fields)
}

function fillOpaque(message: pb.AttributeProto, extras: AttributeExtras): void {
  message.type = extras.type ?? Type.UNDEFINED
  if (message.type === Type.STRING) message.s = extras.strings![0]
  if (message.type === Type.STRINGS) message.strings = [...extras.strings!]
  if (message.type === Type.SPARSE_TENSOR) message.sparseTensor = extras.sparse![0]
  if (message.type === Type.SPARSE_TENSORS) message.sparseTensors = [...extras.sparse!]
  if (message.type === Type.TYPE_PROTO) message.tp = extras.types![0]
  if (message.type === Type.TYPE_PROTOS) message.typeProtos = [...extras.types!]
}

function valueMessage(info: ValueInfo): pb.ValueInfoProto {
  const extras = info.extras as ValueExtras | undefined
  const message = create(pb.ValueInfoProtoSchema, { name: info.name })
  if (info.type) message.type = typeMessage(info.type, extras?.type)
  else if (extras?.type) message.type = extras.type
  if (info.doc) message.docString = info.doc
  return restore(pb.ValueInfoProtoSchema, message, extras?.fields)
}

/** The type of a tensor; denotations come back from `declared` where its rank is still the same. */
function typeMessage(type: NonNullable<ValueInfo['type']>, declared: pb.TypeProto | undefined): pb.TypeProto {
  const before = declared?.value.case === 'tensorType' ? declared.value.value : undefined
  const dims = before?.shape?.dim.length === type.shape?.length ? before?.shape?.dim : undefined
  const shape = type.shape?.map((dim, axis) => {
    const message = create(pb.TensorShapeProto_DimensionSchema)
    if (typeof dim === 'number') message.value = { case: 'dimValue', value: BigInt(dim) }
    else if (dim !== null) message.value = { case: 'dimParam', value: dim }
    const kept = dims?.[axis]
    if (kept?.denotation) message.denotation = kept.denotation
    if (kept?.$unknown) message.$unknown = kept.$unknown
    return message
  })
  const tensor = create(pb.TypeProto_TensorSchema, { elemType: elementType(type.dtype) })
  if (shape) tensor.shape = unknownFrom(create(pb.TensorShapeProtoSchema, { dim: shape }), before?.shape)
  const message = create(pb.TypeProtoSchema, {
    value: { case: 'tensorType', value: unknownFrom(tensor, before) },
  })
  if (declared?.denotation) message.denotation = declared.denotation
  return unknownFrom(message, declared)
}

function unknownFrom<M extends Message>(message: M, before: Message | undefined): M {
  if (before?.$unknown) message.$unknown = before.$unknown
  return message
}

function functionMessage(item: LocalFunction): pb.FunctionProto {
  const message = create(pb.FunctionProtoSchema, {
    name: item.name,
    domain: item.domain,
    input: [...item.inputs],
    output: [...item.outputs],
    attribute: [...item.attributes],
    attributeProto: Object.entries(item.attributeDefaults).map(([name, value]) => attributeMessage(name, value)),
    node: item.nodes.map(nodeMessage),
    opsetImport: opsetMessages(item.opsets),
  })
  if (item.doc) message.docString = item.doc
  return restore(pb.FunctionProtoSchema, message, item.extras)
}
