import { bytesOf, type Tensor } from '../tensor/tensor.ts'
import { crc32 } from './crc32.ts'

/**
 * Eight hexadecimal digits by which something kept is known again: a checksum of facts and of the values of tensors (texts
 * left out), in this order. Against mistakes, not against forgery.
 * @param facts anything that JSON can say
 */
export function fingerprint(facts: unknown, tensors: Iterable<Tensor> = []): string {
  let sum = crc32(new TextEncoder().encode(JSON.stringify(facts)))
  for (const tensor of tensors) if (tensor.dtype !== 'string') sum = crc32(bytesOf(tensor), sum)
  return sum.toString(16).padStart(8, '0')
}
