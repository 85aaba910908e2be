import { bytesOf, type Tensor } from '../tensor/tensor.ts'

/**
 * Sixteen hexadecimal digits by which something kept is known again: 64 bits of FNV-1a in two lanes, over texts, bytes and
 * the values of tensors in this order. Against mistakes, not against an attacker.
 */
export function fingerprint(parts: Iterable<string | Uint8Array | Tensor>): string {
  let a = 0x811c9dc5
  let b = 0x9dc5811c
  for (const part of parts)
    for (const byte of bytesIn(part)) {
      a = Math.imul(a ^ byte, 0x01000193)
      b = Math.imul(b ^ byte, 0x85ebca6b) ^ (b >>> 13)
    }
  return [a, b].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('')
}

/** Texts end in a zero byte, so that two of them are not the same as one. */
function bytesIn(part: string | Uint8Array | Tensor): Uint8Array {
  if (part instanceof Uint8Array) return part
  if (typeof part === 'string') return new TextEncoder().encode(`${part}\0`)
  return part.dtype === 'string' ? bytesIn(JSON.stringify(part.data)) : bytesOf(part)
}
