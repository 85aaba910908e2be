import { DataError } from '../../errors.ts'

/** A place in protocol-buffer bytes. */
export interface Cursor {
  readonly bytes: Uint8Array
  position: number
}

const wrong = (message: string, position: number): DataError =>
  new DataError('pack-graph', `${message} at byte ${position} of the graph`, {
    hint: 'The model in the pack is damaged; fetch the file again.',
  })

/** A varint of up to 64 bits as a number; beyond 2^53 it is no longer exact, which no length or size reaches. */
export function readVarint(cursor: Cursor, end: number): number {
  let value = 0
  let unit = 1
  for (let i = 0; i < 10; i++) {
    if (cursor.position >= end) break
    const group = cursor.bytes[cursor.position++]
    value += (group & 127) * unit
    if (group < 128) return value
    unit *= 128
  }
  throw wrong('a number has no end', cursor.position)
}

/** The bytes that a number takes as a varint. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++
  return length
}

/** Writes a varint to `target` and returns the position after it. */
export function putVarint(target: Uint8Array, position: number, value: number): number {
  let rest = value
  let at = position
  for (; rest >= 128; rest = Math.floor(rest / 128)) target[at++] = (rest % 128) | 128
  target[at++] = rest
  return at
}

/** Skips the content of a field of this wire type. */
export function skipField(cursor: Cursor, wireType: number, end: number): void {
  if (wireType === 0) readVarint(cursor, end)
  else if (wireType === 1) cursor.position += 8
  else if (wireType === 5) cursor.position += 4
  else if (wireType === 2) {
    const length = readVarint(cursor, end)
    cursor.position += length
  } else throw wrong(`wire type ${wireType} is not known`, cursor.position)
  if (cursor.position > end) throw wrong('a field runs past its message', cursor.position)
}

/** Reads a length and checks that it fits and is written in as few bytes as it needs. */
export function readLength(cursor: Cursor, end: number): number {
  const start = cursor.position
  const length = readVarint(cursor, end)
  if (cursor.position - start !== varintLength(length)) throw wrong('a length has needless zeros', start)
  if (length > end - cursor.position) throw wrong('a field runs past its message', start)
  return length
}
