const table = new Uint32Array(256)
for (let byte = 0; byte < 256; byte++) {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  table[byte] = value
}

/**
 * The CRC-32 of ISO 3309 (that of gzip and PNG): finds every single-bit flip and every burst of up to 32 bits.
 * Continues from `previous`, the sum of the bytes before.
 */
export function crc32(bytes: Uint8Array, previous = 0): number {
  let value = ~previous
  for (let i = 0; i < bytes.length; i++) value = (value >>> 8) ^ table[(value ^ bytes[i]) & 255]
  return ~value >>> 0
}
