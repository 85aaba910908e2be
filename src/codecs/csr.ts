import { deepCompression } from '../paper.ts'
import { defineCodec } from './codec.ts'
import { storedByLines } from './sparse-lines.ts'

/** Compressed sparse rows, the form that libraries of sparse matrices multiply with (section 2 of Deep Compression). */
export const csr = defineCodec({
  name: 'csr',
  id: 10,
  summary: 'Stores non-zero symbols row by row with their columns and the starts of the rows: compressed sparse rows.',
  paper: deepCompression,
  ...storedByLines('csr', 'rows'),
})
