/** Nodes, attributes and declared values: from the schema's messages to the IR. */
import { toBinary } from '@bufbuild/protobuf'
import { DataError } from '../../errors.ts'
import { fromElementType } from '../../ir/element-type.ts'
import type { Attribute, Dim, Node, ValueInfo } from '../../ir/model.ts'
import type { AttributeExtras, ValueExtras } from './extras.ts'
import { leftover } from './extras.ts'
import {
  AttributeProto_AttributeType as Type,
  AttributeProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type NodeProto,
  type TensorProto,
  type TypeProto,
  type ValueInfoProto,
} from './onnx_pb.ts'
import { readGraph, safeNumber, standardDomain, type ReadContext } from './read.ts'
import { readTensor, utf8, type ReadTensor } from './tensors.ts'

const nodeFields = new Set(['input', 'output', 'name', 'opType', 'domain', 'attribute', 'docString'])
const valueFields = new Set(['name', 'type', 'docString'])

export function readNode(proto: NodeProto, context: ReadContext): Node {
  const label = proto.name || proto.output[0] || proto.opType
  const inner = { ...context, place: `${context.place}, node '${label}'` }
  const attributes: [string, Attribute][] = []
  for (const attribute of proto.attribute) {
    if (attributes.some(([name]) => name === attribute.name))
      throw new DataError('duplicate-attribute', `attribute '${attribute.name}' appears twice`, { place: inner.place })
    attributes.push([attribute.name, readAttribute(attribute, inner)])
  }
  return {
    name: proto.name,
    op: proto.opType,
    domain: standardDomain(proto.domain),
    inputs: proto.input,
    outputs: proto.output,
    attributes: Object.fromEntries(attributes),
    doc: proto.docString || undefined,
    extras: leftover(NodeProtoSchema, proto, nodeFields),
  }
}

/** The field of AttributeProto that holds the value, by type. */
const contentFields: Partial<Record<Type, string>> = {
  [Type.FLOAT]: 'f',
  [Type.INT]: 'i',
  [Type.STRING]: 's',
  [Type.TENSOR]: 't',
  [Type.GRAPH]: 'g',
  [Type.FLOATS]: 'floats',
  [Type.INTS]: 'ints',
  [Type.STRINGS]: 'strings',
  [Type.TENSORS]: 'tensors',
  [Type.GRAPHS]: 'graphs',
  [Type.SPARSE_TENSOR]: 'sparseTensor',
  [Type.SPARSE_TENSORS]: 'sparseTensors',
  [Type.TYPE_PROTO]: 'tp',
  [Type.TYPE_PROTOS]: 'typeProtos',
}

export function readAttribute(proto: AttributeProto, context: ReadContext): Attribute {
  const type = proto.type === Type.UNDEFINED ? guessType(proto) : proto.type
  const content = contentFields[type]
  const place = `${context.place}, attribute '${proto.name}'`
  if (!content && !proto.refAttrName) throw new DataError('attribute-type', 'the attribute has no type', { place })
  const fields = leftover(AttributeProtoSchema, proto, new Set(['name', 'type', 'refAttrName', content ?? '']))
  if (proto.refAttrName) return { kind: 'reference', value: proto.refAttrName, extras: { fields, type } }
  const kept = fields ? { extras: { fields } satisfies AttributeExtras } : {}
  const tensor = (item: TensorProto): ReadTensor =>
    readTensor(toBinary(TensorProtoSchema, item), place, context.externalData)
  switch (type) {
    case Type.FLOAT:
      return { kind: 'float', value: proto.f, ...kept }
    case Type.INT:
      return { kind: 'int', value: safeNumber(proto.i), ...kept }
    case Type.FLOATS:
      return { kind: 'floats', value: proto.floats, ...kept }
    case Type.INTS:
      return { kind: 'ints', value: proto.ints.map(safeNumber), ...kept }
    case Type.STRING: {
      const value = utf8(proto.s)
      return value === undefined
        ? { kind: 'opaque', extras: { fields, type, strings: [proto.s.slice()] } }
        : { kind: 'string', value, ...kept }
    }
    case Type.STRINGS: {
      const value = proto.strings.map(utf8)
      return value.every((text) => text !== undefined)
        ? { kind: 'strings', value, ...kept }
        : { kind: 'opaque', extras: { fields, type, strings: proto.strings.map((text) => text.slice()) } }
    }
    case Type.TENSOR: {
      if (!proto.t) throw new DataError('attribute-value', 'the attribute holds no tensor', { place })
      const { tensor: value, extras, name } = tensor(proto.t)
      return { kind: 'tensor', value, ...tensorsKept(fields, [extras], [name]) }
    }
    case Type.TENSORS: {
      const items = proto.tensors.map(tensor)
      const value = items.map((item) => item.tensor)
      const extras = items.map((item) => item.extras)
      return {
        kind: 'tensors',
        value,
        ...tensorsKept(
          fields,
          extras,
          items.map((item) => item.name),
        ),
      }
    }
    case Type.GRAPH:
      if (!proto.g) throw new DataError('attribute-value', 'the attribute holds no graph', { place })
      return { kind: 'graph', value: readGraph(proto.g, context), ...kept }
    case Type.GRAPHS:
      return { kind: 'graphs', value: proto.graphs.map((graph) => readGraph(graph, context)), ...kept }
    case Type.SPARSE_TENSOR:
    case Type.SPARSE_TENSORS: {
      const sparse = type === Type.SPARSE_TENSOR && proto.sparseTensor ? [proto.sparseTensor] : proto.sparseTensors
      return { kind: 'opaque', extras: { fields, type, sparse } }
    }
    default:
      return { kind: 'opaque', extras: { fields, type, types: proto.tp ? [proto.tp] : proto.typeProtos } }
  }
}

function tensorsKept(
  fields: AttributeExtras['fields'],
  tensors: NonNullable<AttributeExtras['tensors']>,
  names: readonly string[],
): { extras?: AttributeExtras } {
  const named = names.some((name) => name !== '')
  if (!fields && !named && tensors.every((extras) => extras === undefined)) return {}
  return { extras: { fields, tensors, names: named ? names : undefined } }
}

/** Models of the first IR version do not say the type; exactly one field is set. */
function guessType(proto: AttributeProto): Type {
  if (proto.t) return Type.TENSOR
  if (proto.g) return Type.GRAPH
  if (proto.floats.length > 0) return Type.FLOATS
  if (proto.ints.length > 0) return Type.INTS
  if (proto.strings.length > 0) return Type.STRINGS
  if (proto.tensors.length > 0) return Type.TENSORS
  if (proto.graphs.length > 0) return Type.GRAPHS
  if (Object.hasOwn(proto, 'f')) return Type.FLOAT
  if (Object.hasOwn(proto, 'i')) return Type.INT
  if (Object.hasOwn(proto, 's')) return Type.STRING
  return Type.UNDEFINED
}

export function readValueInfo(proto: ValueInfoProto): ValueInfo {
  const fields = leftover(ValueInfoProtoSchema, proto, valueFields)
  const declared = proto.type
  const tensor = declared?.value.case === 'tensorType' ? declared.value.value : undefined
  const dtype = tensor ? fromElementType(tensor.elemType) : undefined
  const shape = tensor?.shape?.dim.map((dim): Dim => {
    if (dim.value.case === 'dimValue') return dim.value.value < 0n ? null : Number(dim.value.value)
    return dim.value.case === 'dimParam' && dim.value.value !== '' ? dim.value.value : null
  })
  const keepType = declared && (!dtype || hasDenotation(declared))
  const extras: ValueExtras | undefined =
    fields || keepType ? { fields, type: keepType ? declared : undefined } : undefined
  return {
    name: proto.name,
    type: dtype ? { dtype, shape } : undefined,
    doc: proto.docString || undefined,
    extras,
  }
}

/** Whether a tensor type says more than element type and shape. */
function hasDenotation(type: TypeProto): boolean {
  if (type.denotation || type.$unknown || type.value.case !== 'tensorType') return true
  const { shape, $unknown } = type.value.value
  if ($unknown || shape?.$unknown) return true
  return shape?.dim.some((dim) => dim.denotation !== '' || dim.$unknown !== undefined) ?? false
}
