/** A model whose weights are codes, as Deep Compression's file. */
import { relativeIndex } from '../../codecs/relative.ts'
import { createByteWriter } from '../../codecs/bytes.ts'
import type { Model } from '../../ir/model.ts'
import type { ProgressListener } from '../../progress.ts'
import { bytesOf, float32 } from '../../tensor/tensor.ts'
import { codeBits, GAP_BITS, pack, type StoredLayer } from './layout.ts'
import { storedLayers } from './layers.ts'

/**
 * Writes the weights of a model that has few different values in each layer. What `readDeepCompression` has read is
 * written back byte for byte.
 * @throws UnsupportedError that names the first layer that the format has no place for, and what to do.
 */
export function writeDeepCompression(model: Model, progress?: ProgressListener): Uint8Array {
  const layers = storedLayers(model)
  const header = createByteWriter(layers.length * 4)
  const body = createByteWriter(2 ** 16)
  for (const [done, layer] of layers.entries()) {
    progress?.({ task: 'writing', done, total: layers.length, detail: { layer: layer.name } })
    const { entries, bytes } = encodeLayer(layer)
    header.uint32(entries)
    body.bytes(bytes)
  }
  progress?.({ task: 'writing', done: layers.length, total: layers.length })
  header.bytes(body.written())
  return header.finish()
}

/** One layer's part of the file, and the number of its entries; a layer of zeros has one, as the format needs one. */
export function encodeLayer({ name, codes, codebook, bias }: StoredLayer): { entries: number; bytes: Uint8Array } {
  const bits = codeBits(name)
  const index = relativeIndex(codes, 2 ** bits, GAP_BITS)
  const empty = index.codes.length === 0
  const body = createByteWriter(4 * (codebook.length + bias.length) + codes.length)
  body.bytes(bytesOf(float32(codebook)))
  body.bytes(bytesOf(float32(bias)))
  body.bytes(pack(empty ? [0] : index.codes, bits))
  body.bytes(pack(empty ? [0] : index.gaps, GAP_BITS))
  return { entries: empty ? 1 : index.codes.length, bytes: body.finish() }
}
