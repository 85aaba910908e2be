import { readFile } from 'node:fs/promises'
import { readModel } from '../../formats/onnx/read.ts'
import { writeModel } from '../../formats/onnx/write.ts'
import { readPack } from '../../formats/pack/read.ts'
import { writePack } from '../../formats/pack/write.ts'
import { deepCompression } from '../../paper.ts'
import { definePaperRow } from '../row.ts'

const decoded = 'models/squeezenet_v1.0_deepcompression_decoded.onnx'
const published = 'deep-compression/compressed_SqueezeNet.net'

export const deepCompressionLossless = definePaperRow({
  name: 'deep-compression-lossless',
  summary: "Packs the weights of the SqueezeNet that Deep Compression's authors published, without changing a bit.",
  network: 'SqueezeNet 1.0, 1,244,448 weights, a third of them not zero, at most 255 values a layer',
  data: 'none',
  method: "the pack's own coder",
  paper: deepCompression,
  needs: [decoded, published],
  figures: [
    { name: 'pack, graph included', unit: 'bytes', published: 675_763, atMost: 532_000, digits: 0, headline: true },
    { name: "share of the authors' file", unit: '%', digits: 1 },
    { name: 'restored bit for bit', unit: 'models', atLeast: 1, digits: 0 },
  ],
  seeds: [1],
  minutes: 1,
  difference:
    "The authors' file has fixed-length codes and gaps, without a graph; an ideal Huffman coder of these would need about 541,680 bytes.",
  async run({ path }) {
    const bytes = await readFile(path(decoded))
    const model = readModel(bytes, { place: decoded })
    const pack = writePack(model)
    const same = Buffer.compare(writeModel(readPack(pack)), writeModel(model)) === 0
    return {
      'pack, graph included': pack.length,
      "share of the authors' file": (100 * pack.length) / (await readFile(path(published))).length,
      'restored bit for bit': same ? 1 : 0,
    }
  },
})
