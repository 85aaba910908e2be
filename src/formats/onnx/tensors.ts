/** TensorProto to Tensor and back, for all element types and all ways in which ONNX stores them. */
import { DataError, UnsupportedError } from '../../errors.ts'
import { elementType, fromElementType } from '../../ir/element-type.ts'
import { dtypes, storageLength, type DataOf, type DType, type NumericData } from '../../tensor/dtype.ts'
import { bytesOf, createTensor, elementCount, type Tensor } from '../../tensor/tensor.ts'
import {
  concatenate,
  countVarints,
  delimited,
  plainBytes,
  readVarint,
  readVarints,
  scanFields,
  varint,
} from './wire.ts'

/**
 * Hands out bytes that lie outside the model file: `length` bytes (all that follow, when undefined) from `offset` of the
 * file at `location`, a path relative to the model's folder.
 */
export type ExternalData = (
  location: string,
  range: { readonly offset: number; readonly length: number | undefined },
) => Uint8Array

/** Fields of a TensorProto that nothing here interprets, as wire bytes; and strings that are not UTF-8, as they were. */
export interface TensorExtras {
  readonly fields: Uint8Array
  readonly strings?: { readonly data: readonly string[]; readonly bytes: readonly Uint8Array[] }
}

export interface ReadTensor {
  readonly name: string
  readonly tensor: Tensor
  readonly extras?: TensorExtras
}

const decoder = new TextDecoder()
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

const fieldNumbers = {
  dims: 1,
  type: 2,
  floats: 4,
  int32s: 5,
  strings: 6,
  int64s: 7,
  name: 8,
  raw: 9,
  doubles: 10,
  uint64s: 11,
}
const externalField = 13
const locationField = 14

/**
 * Reads the TensorProto in `source`.
 * @param movable whether the bytes may be overwritten: then misaligned data moves down to an aligned address, over the
 * header that was read, instead of being copied.
 * @throws DataError when it is malformed, UnsupportedError for an unknown type.
 */
export function readTensor(
  source: Uint8Array,
  place: string,
  externalData?: ExternalData,
  movable = false,
): ReadTensor {
  const bytes = plainBytes(source)
  const values = new Map<number, Uint8Array[]>()
  const rest: Uint8Array[] = []
  let typeNumber = 0
  let external = false
  scanFields(bytes, place, (field) => {
    const value = bytes.subarray(field.valueStart, field.end)
    if (field.number === fieldNumbers.type && field.type === 0) typeNumber = readVarint(value, 0, place).value
    else if (field.number === locationField && field.type === 0) external = readVarint(value, 0, place).value === 1
    else if (valueFields.has(field.number)) {
      const known = values.get(field.number)
      if (known) known.push(value)
      else values.set(field.number, [value])
    } else rest.push(bytes.slice(field.start, field.end))
  })
  const name = decoder.decode(values.get(fieldNumbers.name)?.at(-1) ?? new Uint8Array())
  const where = name === '' ? place : `${place}, tensor '${name}'`
  const dtype = fromElementType(typeNumber)
  if (!dtype)
    throw new UnsupportedError('tensor-type', `element type ${typeNumber} of ONNX is not supported`, { place: where })
  const shape = readShape(values.get(fieldNumbers.dims) ?? [], where)
  const fields = concatenate(rest)
  const extras = fields.length > 0 ? { fields } : undefined
  if (dtype === 'string') return readStrings(name, shape, values.get(fieldNumbers.strings) ?? [], fields, where)
  const raw = external
    ? readExternal(values.get(externalField) ?? [], dtype, shape, externalData, where)
    : values.get(fieldNumbers.raw)?.at(-1)
  const data =
    raw && raw.length > 0
      ? fromRaw(dtype, shape, raw, where, movable && !external ? bytes.byteOffset : undefined)
      : undefined
  return { name, tensor: createTensor(dtype, shape, data ?? fromNumbers(dtype, shape, values, raw, where)), extras }
}

const valueFields = new Set([...Object.values(fieldNumbers), externalField])

function readShape(chunks: readonly Uint8Array[], place: string): number[] {
  const dims = new BigInt64Array(countVarints(chunks, place))
  readVarints(chunks, dims)
  if (dims.length > 1024) throw new DataError('tensor-shape', `a tensor cannot have ${dims.length} axes`, { place })
  const shape = Array.from(dims, Number)
  let count = 1
  for (const dim of shape) {
    if (dim < 0) throw new DataError('tensor-shape', `the shape [${shape.join(', ')}] has a negative size`, { place })
    count *= Math.max(dim, 1)
  }
  if (count > 2 ** 46)
    throw new DataError('tensor-shape', `the shape [${shape.join(', ')}] is larger than any memory`, {
      place,
      hint: 'The file is damaged or made to do harm; fetch or export it again.',
    })
  return shape
}

function wrongLength(
  dtype: DType,
  shape: readonly number[],
  expected: number,
  found: number,
  place: string,
): DataError {
  return new DataError(
    'tensor-length',
    `a ${dtype} tensor of shape [${shape.join(', ')}] needs ${expected} stored items, but the file holds ${found}`,
    { place, hint: 'The file is damaged or cut short; fetch or export it again.' },
  )
}

/**
 * A view of raw little-endian bytes where their address allows it, otherwise a copy.
 * @param lowest the address down to which the bytes may be moved; undefined: they must stay.
 */
function fromRaw<T extends DType>(
  dtype: T,
  shape: readonly number[],
  raw: Uint8Array,
  place: string,
  lowest?: number,
): DataOf<T> {
  const length = storageLength(dtype, elementCount(shape))
  const ArrayType = dtypes[dtype].array as unknown as {
    readonly BYTES_PER_ELEMENT: number
    new (buffer: ArrayBufferLike, offset: number, length: number): NumericData
  }
  const size = ArrayType.BYTES_PER_ELEMENT
  if (raw.length !== length * size) throw wrongLength(dtype, shape, length * size, raw.length, place)
  const excess = raw.byteOffset % size
  if (excess > 0 && lowest !== undefined && raw.byteOffset - excess >= lowest) {
    const moved = new Uint8Array(raw.buffer, raw.byteOffset - excess, raw.length)
    moved.set(raw)
    return new ArrayType(moved.buffer, moved.byteOffset, length) as DataOf<T>
  }
  const aligned = excess === 0 ? raw : new Uint8Array(raw)
  return new ArrayType(aligned.buffer, aligned.byteOffset, length) as DataOf<T>
}

function fromNumbers(
  dtype: DType,
  shape: readonly number[],
  values: ReadonlyMap<number, Uint8Array[]>,
  raw: Uint8Array | undefined,
  place: string,
): NumericData {
  const length = storageLength(dtype, elementCount(shape))
  const floating = dtype === 'float32' || dtype === 'complex64' ? fieldNumbers.floats : fieldNumbers.doubles
  if (dtype === 'float32' || dtype === 'complex64' || dtype === 'float64' || dtype === 'complex128') {
    const chunks = values.get(floating) ?? (raw ? [raw] : [])
    return fromRaw(dtype, shape, concatenate(chunks), place) as NumericData
  }
  const field =
    dtype === 'int64'
      ? fieldNumbers.int64s
      : dtype === 'uint32' || dtype === 'uint64'
        ? fieldNumbers.uint64s
        : fieldNumbers.int32s
  const chunks = values.get(field) ?? []
  const found = countVarints(chunks, place)
  if (found !== length) throw wrongLength(dtype, shape, length, found, place)
  const numbers = new BigInt64Array(length)
  readVarints(chunks, numbers)
  if (dtype === 'int64') return numbers
  if (dtype === 'uint64') return new BigUint64Array(numbers.buffer)
  const result = new dtypes[dtype].array(length) as Int32Array
  for (let i = 0; i < length; i++) result[i] = Number(BigInt.asIntN(32, numbers[i]))
  return result
}

function readStrings(
  name: string,
  shape: readonly number[],
  bytes: readonly Uint8Array[],
  fields: Uint8Array,
  place: string,
): ReadTensor {
  const count = elementCount(shape)
  if (bytes.length !== count) throw wrongLength('string', shape, count, bytes.length, place)
  const data = bytes.map((text) => decoder.decode(text))
  const exact = bytes.every((text) => utf8(text) !== undefined)
  const strings = exact ? undefined : { data, bytes: bytes.map((text) => text.slice()) }
  const extras = fields.length > 0 || strings ? { fields, strings } : undefined
  return { name, tensor: createTensor('string', shape, data), extras }
}

/** The text of UTF-8 bytes; undefined when they are something else. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return undefined
  }
}

function readExternal(
  entries: readonly Uint8Array[],
  dtype: DType,
  shape: readonly number[],
  externalData: ExternalData | undefined,
  place: string,
): Uint8Array {
  const facts = new Map<string, string>()
  for (const entry of entries) {
    const pair = ['', '']
    scanFields(entry, place, (field) => {
      if (field.type === 2 && (field.number === 1 || field.number === 2))
        pair[field.number - 1] = decoder.decode(entry.subarray(field.valueStart, field.end))
    })
    facts.set(pair[0], pair[1])
  }
  const location = facts.get('location') ?? ''
  if (!externalData)
    throw new DataError('external-data', `the data lies in '${location}', outside the model`, {
      place,
      hint: 'Read the model from its file, so that the files beside it are found.',
    })
  const number = (key: string): number | undefined => {
    const text = facts.get(key)
    if (text === undefined) return undefined
    if (!/^\d{1,15}$/.test(text))
      throw new DataError('external-data', `the ${key} '${text}' of external data is not a byte count`, { place })
    return Number(text)
  }
  const expected = storageLength(dtype, elementCount(shape)) * dtypes[dtype].array.prototype.BYTES_PER_ELEMENT
  const length = number('length') ?? expected
  if (length !== expected) throw wrongLength(dtype, shape, expected, length, place)
  return externalData(location, { offset: number('offset') ?? 0, length })
}

/** Where the bytes of a tensor went that was moved out of the model file. */
export interface ExternalPlace {
  readonly location: string
  readonly offset: number
}

/** The wire bytes of a TensorProto, as chunks of which the data is a view. */
export function tensorChunks(
  name: string,
  tensor: Tensor,
  extras?: TensorExtras,
  external?: ExternalPlace,
): Uint8Array[] {
  const chunks: Uint8Array[] = []
  if (tensor.shape.length > 0) chunks.push(...delimitedDims(tensor.shape))
  chunks.push(varint(fieldNumbers.type * 8), varint(elementType(tensor.dtype)))
  if (name !== '') chunks.push(...delimited(fieldNumbers.name, [encoder.encode(name)]))
  if (tensor.dtype === 'string') {
    const data = tensor.data as readonly string[]
    const bytes = extras?.strings?.data === data ? extras.strings.bytes : data.map((text) => encoder.encode(text))
    for (const text of bytes) chunks.push(...delimited(fieldNumbers.strings, [text]))
  } else if (external) {
    const facts = { location: external.location, offset: external.offset, length: bytesOf(tensor).length }
    for (const [key, value] of Object.entries(facts)) {
      const pair = [...delimited(1, [encoder.encode(key)]), ...delimited(2, [encoder.encode(String(value))])]
      chunks.push(...delimited(externalField, pair))
    }
    chunks.push(varint(locationField * 8), varint(1))
  } else chunks.push(...delimited(fieldNumbers.raw, [bytesOf(tensor)]))
  if (extras && extras.fields.length > 0) chunks.push(extras.fields)
  return chunks
}

/** Sizes one by one: TensorProto.dims is not packed in the schema. */
function delimitedDims(shape: readonly number[]): Uint8Array[] {
  return shape.flatMap((dim) => [varint(fieldNumbers.dims * 8), varint(dim)])
}
