/** Numpy's array format (NEP 1): a magic word, a header that is a Python literal, then the values. */
import { DataError } from '../errors.ts'
import { fromHalfBits } from '../tensor/half.ts'
import type { ByteSource } from './byte-source.ts'

/** An array whose rows (slices of its first axis) are read on demand. */
export interface NpyArray {
  readonly place: string
  readonly shape: readonly number[]
  /** Numpy's name of the element type, such as `<f4`. */
  readonly type: string
  /** The values of some rows, one typed array a row. */
  rows(indices: readonly number[]): Promise<ArrayLike<number>[]>
}

type Decoder = (bytes: Uint8Array) => ArrayLike<number>

const typed =
  (create: (buffer: ArrayBuffer) => ArrayLike<number>): Decoder =>
  (bytes) =>
    create(new Uint8Array(bytes).buffer)

const decoders: Readonly<Record<string, Decoder>> = {
  b1: (bytes) => bytes,
  u1: (bytes) => bytes,
  i1: typed((buffer) => new Int8Array(buffer)),
  u2: typed((buffer) => new Uint16Array(buffer)),
  i2: typed((buffer) => new Int16Array(buffer)),
  u4: typed((buffer) => new Uint32Array(buffer)),
  i4: typed((buffer) => new Int32Array(buffer)),
  u8: typed((buffer) => Float64Array.from(new BigUint64Array(buffer), Number)),
  i8: typed((buffer) => Float64Array.from(new BigInt64Array(buffer), Number)),
  f2: typed((buffer) => Float32Array.from(new Uint16Array(buffer), fromHalfBits)),
  f4: typed((buffer) => new Float32Array(buffer)),
  f8: typed((buffer) => new Float64Array(buffer)),
}

/**
 * Reads the header of an array and checks that its values are all there.
 * @throws DataError when it is no array file, is cut off, or holds a type or an order that is not read.
 */
export async function openNpy(source: ByteSource): Promise<NpyArray> {
  const { place } = source
  const { type, shape, fortran, start } = await readHeader(source)
  const decode = decoders[type.slice(1)]
  if (!decode || !/^[<>|]/.test(type))
    throw damaged(place, `its values have type '${type}', which is not read`, 'Save numbers: astype("float32").')
  if (fortran && shape.length > 1)
    throw damaged(place, 'it is stored column by column', 'Save numpy.ascontiguousarray(x) instead.')
  const width = Number(type.slice(2))
  const rowLength = shape.slice(1).reduce((product, size) => product * size, width)
  const expected = (shape[0] ?? 1) * rowLength
  if (source.length - start !== expected)
    throw damaged(
      place,
      source.length - start < expected && rowLength > 0
        ? `it ends within record ${Math.floor((source.length - start) / rowLength)} of ${shape[0]}`
        : `shape (${shape.join(', ')}) needs ${expected} bytes of values, there are ${source.length - start}`,
    )
  return {
    place,
    shape,
    type,
    async rows(indices) {
      const parts = await source.read(
        indices.map((index) => start + index * rowLength),
        rowLength,
      )
      return parts.map((bytes) => decode(type[0] === '>' ? swapped(bytes, width) : bytes))
    },
  }
}

async function readHeader(source: ByteSource) {
  const { place } = source
  if (source.length < 12) throw damaged(place, `it has ${source.length} bytes`)
  const [head] = await source.read([0], 12)
  if (!'\x93NUMPY'.split('').every((character, i) => head[i] === character.charCodeAt(0)))
    throw damaged(place, 'it does not begin with the magic word', 'Give what numpy.save or numpy.savez wrote.')
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const wide = head[6] >= 2
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true)
  const start = (wide ? 12 : 10) + length
  if (start > source.length || length > 1 << 20) throw damaged(place, 'it ends within its header')
  const [bytes] = await source.read([wide ? 12 : 10], length)
  const text = new TextDecoder('latin1').decode(bytes)
  const type = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1]
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1]
  const sizes = /'shape'\s*:\s*\(([\d,\sL]*)\)/.exec(text)?.[1]
  if (type === undefined || order === undefined || sizes === undefined)
    throw damaged(
      place,
      'its header does not say a plain type, order and shape',
      'Save an array of numbers, not objects.',
    )
  const shape = (sizes.match(/\d+/g) ?? []).map(Number)
  return { type, shape, fortran: order === 'True', start }
}

function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const result = new Uint8Array(bytes)
  for (let at = 0; at < result.length; at += width) result.subarray(at, at + width).reverse()
  return result
}

function damaged(place: string, problem: string, hint = 'Write the file again.'): DataError {
  return new DataError('npy-damaged', `not a whole array file: ${problem}`, { place, hint })
}
