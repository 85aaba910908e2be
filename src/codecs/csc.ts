import { deepCompression } from '../paper.ts'
import { defineCodec } from './codec.ts'
import { storedByLines } from './sparse-lines.ts'

/** Compressed sparse columns: as `csr`, by columns (section 2 of Deep Compression). */
export const csc = defineCodec({
  name: 'csc',
  id: 11,
  summary:
    'Stores non-zero symbols column by column with their rows and the starts of the columns: compressed sparse columns.',
  paper: deepCompression,
  ...storedByLines('csc', 'columns'),
})
