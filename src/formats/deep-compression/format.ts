import { DataError } from '../../errors.ts'
import { deepCompression } from '../../paper.ts'
import { defineForeignFormat, type ForeignFile } from '../foreign.ts'
import { readDeepCompression } from './read.ts'
import { writeDeepCompression } from './write.ts'

/** What the authors of Deep Compression published their SqueezeNet in. */
export const deepCompressionFormat = defineForeignFormat({
  name: 'deep-compression',
  summary: "Codes, codebooks and gaps of a Caffe network's layers, as the authors of Deep Compression publish them.",
  paper: deepCompression,
  ending: '.net',
  companions: [
    { name: 'prototxt', summary: 'deploy.prototxt of the network, with names, order and shapes of its layers' },
  ],
  read: (main, { prototxt }, progress) =>
    readDeepCompression(
      { net: main.bytes, netPlace: main.place, prototxt: asText(prototxt), prototxtPlace: prototxt.place },
      progress,
    ),
  write: writeDeepCompression,
})

function asText({ bytes, place }: ForeignFile): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new DataError('prototxt', 'it is no text in UTF-8', {
      place,
      hint: 'Give the deploy.prototxt of a Caffe network.',
      cause,
    })
  }
}
