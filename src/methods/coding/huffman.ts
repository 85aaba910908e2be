import { z } from 'zod'
import { CODING_KEY } from '../../formats/pack/write.ts'
import { deepCompression } from '../../paper.ts'
import { defineMethod } from '../method.ts'

/**
 * Asks for Huffman codes in the pack: for the codes of shared weights and for the gaps between weights that are left.
 * The graph stays as it is; the choice travels in the model's metadata.
 */
export const huffman = defineMethod({
  name: 'huffman',
  family: 'coding',
  summary: 'Writes codes and gaps of the pack with Huffman codes, one table for each stream.',
  paper: deepCompression,
  needs: [],
  options: z.strictObject({}),
  apply: async (model) => ({ ...model, metadata: new Map(model.metadata).set(CODING_KEY, 'huffman') }),
})
