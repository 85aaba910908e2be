/**
 * The graph without weights. An ONNX file is a tree of protocol-buffer messages; the skeleton is the same bytes with
 * the content of every tensor's `raw_data` cut out and every length on the way to it made that of the shorter content.
 * So the decoder needs to know nothing of ONNX but where tensors lie, and restores the file to the last bit whatever
 * else is in it.
 */
import { createByteWriter } from '../../codecs/bytes.ts'
import { DataError } from '../../errors.ts'
import { elementTypes, OPAQUE } from './element.ts'
import { putVarint, readLength, readVarint, skipField, varintLength, type Cursor } from './wire.ts'

/** A tensor whose content was cut out. */
export interface Slot {
  /** The initializer's name, or `node/attribute` for a tensor in an attribute, as far as the file names them. */
  readonly place: string
  /** The data_type of ONNX; 2 (uint8) with one axis where type and dims do not account for the bytes. */
  readonly type: number
  readonly shape: readonly number[]
  /** Bytes of the content. */
  readonly length: number
}

type MessageName = 'model' | 'graph' | 'node' | 'attribute' | 'function' | 'sparse' | 'training' | 'tensor'

/** Field numbers of the messages on the way to tensors, from onnx.proto. */
const messages: { readonly [M in MessageName]: { readonly [field: number]: MessageName } } = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  function: { 7: 'node', 11: 'attribute' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  training: { 1: 'graph', 2: 'graph' },
  tensor: {},
}

/** The field that names a message, where there is one; for nodes its name, or else its first output. */
const nameFields: { readonly [M in MessageName]?: readonly number[] } = {
  node: [3, 2],
  attribute: [1],
  tensor: [8],
}

const RAW_DATA = 9
const DEEPEST = 100

/** What a walk has seen of the tensor that it is in. */
interface TensorHeader {
  type: number
  dims: number[]
}

const tooDeep = () => new DataError('pack-graph', `the graph is nested deeper than ${DEEPEST} messages`)

/** The bytes that type and dims ask for, or undefined where they do not say. */
function derivedLength(header: TensorHeader): number | undefined {
  const element = elementTypes.get(header.type)
  if (!element) return undefined
  let count = 1
  for (const size of header.dims) count *= size
  return Number.isSafeInteger(count) ? Math.ceil((count * element.bits) / 8) : undefined
}

function slotOf(header: TensorHeader, length: number, place: string): Slot {
  if (derivedLength(header) === length) return { place, type: header.type, shape: header.dims, length }
  return { place, type: OPAQUE, shape: [length], length }
}

/** Notes dims and type of a tensor; false when the field is neither. */
function noteHeader(header: TensorHeader, field: number, wireType: number, cursor: Cursor, end: number): boolean {
  if (field === 1 && wireType === 0) header.dims.push(readVarint(cursor, end))
  else if (field === 1 && wireType === 2) {
    const packedEnd = readLength(cursor, end) + cursor.position
    while (cursor.position < packedEnd) header.dims.push(readVarint(cursor, packedEnd))
  } else if (field === 2 && wireType === 0) header.type = readVarint(cursor, end)
  else return false
  return true
}

const decoder = new TextDecoder()

/** The text of a naming field of the message from `start` to `end`, for places in messages. */
function nameOf(bytes: Uint8Array, start: number, end: number, message: MessageName, isSkeleton: boolean): string {
  const fields = nameFields[message] ?? []
  const cursor: Cursor = { bytes, position: start }
  let best: string | undefined
  let bestRank = fields.length
  while (cursor.position < end && bestRank > 0) {
    const tag = readVarint(cursor, end)
    const rank = (tag & 7) === 2 ? fields.indexOf(tag >>> 3) : -1
    const before = cursor.position
    // In a skeleton, raw_data has no content.
    if (isSkeleton && message === 'tensor' && tag === RAW_DATA * 8 + 2) readVarint(cursor, end)
    else skipField(cursor, tag & 7, end)
    if (rank < 0 || rank >= bestRank) continue
    const at: Cursor = { bytes, position: before }
    const length = readVarint(at, end)
    best = decoder.decode(bytes.subarray(at.position, at.position + length))
    bestRank = rank
  }
  return best ?? ''
}

function placeIn(outer: string, name: string, message: MessageName): string {
  if (message !== 'node' && message !== 'attribute' && message !== 'tensor') return outer
  if (name === '') return outer
  return outer === '' ? name : `${outer}/${name}`
}

/** Cuts the tensors out of the bytes of an ONNX model. `contents` are views of `model`. */
export function cutTensors(model: Uint8Array): { skeleton: Uint8Array; slots: Slot[]; contents: Uint8Array[] } {
  const slots: Slot[] = []
  const contents: Uint8Array[] = []
  const cut = (start: number, end: number, message: MessageName, outer: string, depth: number): Uint8Array => {
    if (depth > DEEPEST) throw tooDeep()
    const place = placeIn(outer, nameFields[message] ? nameOf(model, start, end, message, false) : '', message)
    const cursor: Cursor = { bytes: model, position: start }
    const header: TensorHeader = { type: 0, dims: [] }
    const out = createByteWriter()
    while (cursor.position < end) {
      const fieldStart = cursor.position
      const tag = readVarint(cursor, end)
      const field = Math.floor(tag / 8)
      const wireType = tag % 8
      const child = wireType === 2 ? messages[message][field] : undefined
      if (child) {
        out.bytes(model.subarray(fieldStart, cursor.position))
        const length = readLength(cursor, end)
        const content = cut(cursor.position, cursor.position + length, child, place, depth + 1)
        out.varint(content.length)
        out.bytes(content)
        cursor.position += length
      } else if (message === 'tensor' && field === RAW_DATA && wireType === 2) {
        out.bytes(model.subarray(fieldStart, cursor.position))
        const length = readLength(cursor, end)
        // 0: as long as type and dims say; otherwise the length and one.
        out.varint(derivedLength(header) === length ? 0 : length + 1)
        if (length > 0) {
          slots.push(slotOf(header, length, place))
          contents.push(model.subarray(cursor.position, cursor.position + length))
        }
        cursor.position += length
      } else {
        if (message !== 'tensor' || !noteHeader(header, field, wireType, cursor, end)) skipField(cursor, wireType, end)
        out.bytes(model.subarray(fieldStart, cursor.position))
      }
    }
    return out.finish()
  }
  return { skeleton: cut(0, model.length, 'model', '', 0), slots, contents }
}

/** A stretch of the skeleton that restoring copies, and what follows it: a length of its own, or a slot's content. */
interface Patch {
  readonly start: number
  readonly end: number
  length: number
  readonly slot: number
}

/** What a skeleton says about the model: its tensors and its full length, before anything of that size is allocated. */
export interface Blueprint {
  readonly slots: readonly Slot[]
  /** Bytes of the restored model. */
  readonly length: number
  /**
   * Restores the model.
   * @param fill Writes the content of a slot to `target`, whose length is the slot's.
   */
  restore(fill: (slot: number, target: Uint8Array) => void): Uint8Array
}

/** Reads a skeleton. @throws DataError when it is not one, or when the model would exceed `maxBytes`. */
export function readSkeleton(skeleton: Uint8Array, maxBytes: number): Blueprint {
  const slots: Slot[] = []
  const patches: Patch[] = []
  let copied = 0
  let total = 0
  const flush = (end: number, length: number, slot: number): Patch => {
    const patch = { start: copied, end, length, slot }
    patches.push(patch)
    total += end - copied
    return patch
  }
  const walk = (start: number, end: number, message: MessageName, outer: string, depth: number): number => {
    if (depth > DEEPEST) throw tooDeep()
    const place = placeIn(outer, nameFields[message] ? nameOf(skeleton, start, end, message, true) : '', message)
    const cursor: Cursor = { bytes: skeleton, position: start }
    const header: TensorHeader = { type: 0, dims: [] }
    let added = 0
    while (cursor.position < end) {
      const tag = readVarint(cursor, end)
      const field = Math.floor(tag / 8)
      const wireType = tag % 8
      const child = wireType === 2 ? messages[message][field] : undefined
      if (child) {
        const lengthStart = cursor.position
        const patch = flush(lengthStart, 0, -1)
        const length = readLength(cursor, end)
        copied = cursor.position
        const inner = walk(cursor.position, cursor.position + length, child, place, depth + 1)
        patch.length = length + inner
        total += varintLength(patch.length)
        added += inner + varintLength(patch.length) - varintLength(length)
        cursor.position += length
      } else if (message === 'tensor' && field === RAW_DATA && wireType === 2) {
        const lengthStart = cursor.position
        const said = readVarint(cursor, end)
        const length = said === 0 ? derivedLength(header) : said - 1
        if (length === undefined || !(length <= maxBytes - total))
          throw new DataError('pack-size', `the tensor ${place} would make the model larger than ${maxBytes} bytes`, {
            place,
            hint: 'If the pack can be trusted, raise maxBytes.',
          })
        flush(lengthStart, length, length > 0 ? slots.length : -1)
        copied = cursor.position
        if (length > 0) slots.push(slotOf(header, length, place))
        total += varintLength(length) + length
        added += varintLength(length) + length - (cursor.position - lengthStart)
      } else if (message !== 'tensor' || !noteHeader(header, field, wireType, cursor, end))
        skipField(cursor, wireType, end)
    }
    return added
  }
  walk(0, skeleton.length, 'model', '', 0)
  const tail = copied
  total += skeleton.length - tail
  if (total > maxBytes)
    throw new DataError('pack-size', `the model would have ${total} bytes, more than ${maxBytes}`, {
      hint: 'If the pack can be trusted, raise maxBytes.',
    })
  return {
    slots,
    length: total,
    restore(fill) {
      const model = new Uint8Array(total)
      let position = 0
      for (const patch of patches) {
        model.set(skeleton.subarray(patch.start, patch.end), position)
        position = putVarint(model, position + patch.end - patch.start, patch.length)
        if (patch.slot < 0) continue
        fill(patch.slot, model.subarray(position, position + patch.length))
        position += patch.length
      }
      model.set(skeleton.subarray(tail), position)
      return model
    },
  }
}
