/** What a level of the schema holds beyond the fields that `read.ts` and `write.ts` know: kept, and merged back. */
import { create, isFieldSet, type DescMessage, type Message, type MessageShape } from '@bufbuild/protobuf'
import type { Extras } from '../../ir/model.ts'
import type { SparseTensorProto, TypeProto } from './onnx_pb.ts'
import type { TensorExtras } from './tensors.ts'

/** The extras of a graph: its own leftover fields, and those of its initializers by name. */
export interface GraphExtras {
  readonly fields?: Message
  readonly tensors?: ReadonlyMap<string, TensorExtras>
}

/** The extras of an attribute: its leftover fields, those of its tensors, and what makes an opaque one. */
export interface AttributeExtras {
  readonly fields?: Message
  readonly tensors?: readonly (TensorExtras | undefined)[]
  /** Names of its tensors. */
  readonly names?: readonly string[]
  /** AttributeProto.type of an opaque or reference attribute. */
  readonly type?: number
  readonly strings?: readonly Uint8Array[]
  readonly sparse?: readonly SparseTensorProto[]
  readonly types?: readonly TypeProto[]
}

/** The extras of a value: its leftover fields, and its type as declared, for denotations and types that are no tensors. */
export interface ValueExtras {
  readonly fields?: Message
  readonly type?: TypeProto
}

/** A message with those set fields of `message` that are not among `known`; undefined when there are none. */
export function leftover<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  known: ReadonlySet<string>,
): MessageShape<D> | undefined {
  let result: MessageShape<D> | undefined
  const source = message as unknown as Record<string, unknown>
  for (const field of schema.fields) {
    if (known.has(field.localName) || !isFieldSet(message, field)) continue
    result ??= create(schema)
    const target = result as unknown as Record<string, unknown>
    if (field.oneof) target[field.oneof.localName] = source[field.oneof.localName]
    else target[field.localName] = source[field.localName]
  }
  if (message.$unknown) {
    result ??= create(schema)
    result.$unknown = message.$unknown
  }
  return result
}

/** Puts the fields that `leftover` kept into `message`. */
export function restore<D extends DescMessage>(schema: D, message: MessageShape<D>, extras: Extras): MessageShape<D> {
  const kept = extras as MessageShape<D> | undefined
  if (kept?.$typeName !== schema.typeName) return message
  const source = kept as unknown as Record<string, unknown>
  const target = message as unknown as Record<string, unknown>
  for (const field of schema.fields) {
    if (!isFieldSet(kept, field)) continue
    const name = field.oneof ? field.oneof.localName : field.localName
    target[name] = source[name]
  }
  if (kept.$unknown) message.$unknown = kept.$unknown
  return message
}
