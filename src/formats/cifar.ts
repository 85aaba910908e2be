/** CIFAR-10's binary format: records of 3,073 bytes, a label, then 1,024 values each of red, green and blue, row-major. */
import { DataError } from '../errors.ts'

/** Values of one image: `[3, 32, 32]`. */
export const cifarPixels = 3 * 32 * 32
const recordLength = 1 + cifarPixels

/** The number of records in a file of `length` bytes. @throws DataError when it is no whole number of them. */
export function cifarRecords(length: number, place: string): number {
  if (length > 0 && length % recordLength === 0) return length / recordLength
  const hint = 'Give the binary version of CIFAR-10: its files have 30730000 bytes. Fetch the file again.'
  if (length === 0) throw new DataError('cifar-length', 'the file is empty', { place, hint })
  const record = Math.floor(length / recordLength)
  throw new DataError(
    'cifar-length',
    `the file ends within record ${record}: ${length} bytes are no whole number of records of ${recordLength} bytes`,
    { place, hint },
  )
}

/**
 * Takes the records of a file apart.
 * @param at the number of the first record in `pixels` (`[N, 3, 32, 32]`) and `labels` (`[N]`), which are filled from there on.
 * @throws DataError when the file is cut off, or a label is not 0 to 9.
 */
export function readCifar(bytes: Uint8Array, pixels: Uint8Array, labels: Uint8Array, at: number, place: string): void {
  const count = cifarRecords(bytes.length, place)
  if (at + count > labels.length)
    throw new DataError('cifar-length', `the file has ${count} records, more than a moment ago`, { place })
  for (let record = 0; record < count; record++) {
    const from = record * recordLength
    if (bytes[from] > 9)
      throw new DataError('cifar-label', `record ${record} has label ${bytes[from]}; labels are 0 to 9`, {
        place,
        hint: 'Give the binary version of CIFAR-10; CIFAR-100 has another layout.',
      })
    labels[at + record] = bytes[from]
    pixels.set(bytes.subarray(from + 1, from + recordLength), (at + record) * cifarPixels)
  }
}
