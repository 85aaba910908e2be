/** Reads zip archives through their central directory (APPNOTE 6.3), with the 64-bit extension that numpy uses. */
import { crc32, inflateRawSync } from 'node:zlib'
import { DataError } from '../errors.ts'
import { memorySource, sourcePart, type ByteSource } from './byte-source.ts'

/** One file of an archive. */
export interface ZipEntry {
  readonly name: string
  /** 0: stored, 8: deflated. */
  readonly method: number
  readonly packedLength: number
  readonly length: number
  readonly checksum: number
  readonly headerOffset: number
}

const endSignature = 0x06054b50
const end64Signature = 0x06064b50
const locator64Signature = 0x07064b50
const entrySignature = 0x02014b50
const localSignature = 0x04034b50

/** Deflate never expands by more than this. */
const maximalExpansion = 1032

/** The files of an archive, by name. @throws DataError when the directory does not add up. */
export async function readZipDirectory(source: ByteSource): Promise<ReadonlyMap<string, ZipEntry>> {
  const { offset, length, count } = await findDirectory(source)
  if (offset + length > source.length) throw damaged(source.place, 'its directory lies beyond its end')
  const [bytes] = await source.read([offset], length)
  const view = viewOf(bytes)
  const entries = new Map<string, ZipEntry>()
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 46 > length || view.getUint32(at, true) !== entrySignature)
      throw damaged(source.place, `its directory ends at file ${i} of ${count}`)
    const nameLength = view.getUint16(at + 28, true)
    const extraLength = view.getUint16(at + 30, true)
    const next = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true)
    if (next > length) throw damaged(source.place, `its directory ends within file ${i} of ${count}`)
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength))
    const sizes = {
      length: view.getUint32(at + 24, true),
      packedLength: view.getUint32(at + 20, true),
      headerOffset: view.getUint32(at + 42, true),
    }
    readExtension(bytes.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength), sizes)
    const method = view.getUint16(at + 10, true)
    if (view.getUint16(at + 8, true) & 1) throw damaged(source.place, `${name} is encrypted`)
    const limit = method === 0 ? sizes.packedLength : sizes.packedLength * maximalExpansion
    if (sizes.headerOffset + sizes.packedLength > source.length || sizes.length > limit)
      throw damaged(source.place, `${name} declares ${sizes.length} bytes, more than it can hold`)
    entries.set(name, { name, method, checksum: view.getUint32(at + 16, true), ...sizes })
    at = next
  }
  return entries
}

/**
 * The bytes of one file. A stored one is read in place, as far as it is asked for; a deflated one is unpacked to memory.
 * @throws DataError when it is damaged or packed in another way.
 */
export async function openZipEntry(source: ByteSource, entry: ZipEntry): Promise<ByteSource> {
  const place = `${source.place}:${entry.name}`
  const [header] = await source.read([entry.headerOffset], 30)
  const view = viewOf(header)
  if (view.getUint32(0, true) !== localSignature) throw damaged(place, 'it does not begin where the directory says')
  const start = entry.headerOffset + 30 + view.getUint16(26, true) + view.getUint16(28, true)
  if (entry.method === 0) {
    if (entry.length !== entry.packedLength) throw damaged(place, 'its two lengths differ')
    if (start + entry.length > source.length) throw damaged(place, 'it lies beyond the end of the archive')
    return sourcePart(source, start, entry.length, place)
  }
  if (entry.method !== 8)
    throw damaged(place, `it is packed by method ${entry.method}; only stored and deflate are read`)
  const [packed] = await source.read([start], entry.packedLength)
  let bytes: Uint8Array
  try {
    bytes = inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.length) })
  } catch (cause) {
    throw damaged(place, 'its deflate stream is damaged', cause)
  }
  if (bytes.length !== entry.length || crc32(bytes) !== entry.checksum) throw damaged(place, 'its checksum is wrong')
  return memorySource(bytes, place)
}

async function findDirectory(source: ByteSource): Promise<{ offset: number; length: number; count: number }> {
  const tail = Math.min(source.length, 22 + 0xffff + 20)
  const start = source.length - tail
  const [bytes] = await source.read([start], tail)
  const view = viewOf(bytes)
  for (let at = tail - 22; at >= 0; at--) {
    if (view.getUint32(at, true) !== endSignature) continue
    const found = {
      count: view.getUint16(at + 10, true),
      length: view.getUint32(at + 12, true),
      offset: view.getUint32(at + 16, true),
    }
    if (at < 20 || view.getUint32(at - 20, true) !== locator64Signature) return found
    const [end] = await source.read([Number(view.getBigUint64(at - 12, true))], 56)
    const end64 = viewOf(end)
    if (end64.getUint32(0, true) !== end64Signature) throw damaged(source.place, 'its 64-bit directory is not there')
    return {
      count: Number(end64.getBigUint64(32, true)),
      length: Number(end64.getBigUint64(40, true)),
      offset: Number(end64.getBigUint64(48, true)),
    }
  }
  throw damaged(source.place, 'it has no directory at its end')
}

/** Replaces each size that reads 0xffffffff by its 64-bit value from extra field 1, in the order that APPNOTE 4.5.3 gives. */
function readExtension(extra: Uint8Array, sizes: Record<'length' | 'packedLength' | 'headerOffset', number>): void {
  const view = viewOf(extra)
  for (let at = 0; at + 4 <= extra.length; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue
    let from = at + 4
    for (const key of ['length', 'packedLength', 'headerOffset'] as const) {
      if (sizes[key] !== 0xffffffff || from + 8 > extra.length) continue
      sizes[key] = Number(view.getBigUint64(from, true))
      from += 8
    }
    return
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function damaged(place: string, problem: string, cause?: unknown): DataError {
  return new DataError('zip-damaged', `not a whole zip archive: ${problem}`, {
    place,
    hint: 'Fetch or write the file again.',
    cause,
  })
}
