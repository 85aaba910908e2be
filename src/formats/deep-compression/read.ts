/** Deep Compression's file and the prototxt that goes with it, as a model. */
import { fromRelativeIndex } from '../../codecs/relative.ts'
import { DataError, UnsupportedError } from '../../errors.ts'
import type { Draft } from '../../ir/draft.ts'
import type { Model } from '../../ir/model.ts'
import type { ProgressListener } from '../../progress.ts'
import { createTensor, elementCount, float32 } from '../../tensor/tensor.ts'
import { buildCaffeModel, caffeParameters } from '../caffe/build.ts'
import type { LayerParameters } from '../caffe/layer.ts'
import { readCaffeNetwork } from '../caffe/network.ts'
import { codeBits, GAP_BITS, isStored, packedLength, unpack, type StoredLayer } from './layout.ts'
import { encodeLayer } from './write.ts'

export interface DeepCompressionFiles {
  readonly net: Uint8Array
  readonly netPlace: string
  readonly prototxt: string
  readonly prototxtPlace: string
}

/** FLOAT and INT32 of ONNX's TensorProto. */
const INT32 = 6
/** Up to so many weights cost nothing; more must be worth their memory. */
const FREE_WEIGHTS = 2 ** 24
/** The most weights for each byte of the file: a network pruned to one weight in about 400. */
const WEIGHTS_PER_BYTE = 256

/**
 * Reads a network that Deep Compression's authors published. Each weight is `Gather(codebook, Cast(codes))`, so that codes
 * and codebooks stay as they are in the file.
 * @returns the model, and a note for each layer that `writeDeepCompression` would write in other bytes.
 * @throws DataError when the file is damaged or does not fit the prototxt, before anything large is allocated; ModelError or
 * UnsupportedError for a network that cannot be built.
 */
export function readDeepCompression(
  files: DeepCompressionFiles,
  progress?: ProgressListener,
): { readonly model: Model; readonly notes: readonly string[] } {
  const network = readCaffeNetwork(files.prototxt, files.prototxtPlace)
  const wanted = caffeParameters(network)
  for (const { layer, place } of wanted)
    if (!isStored(layer))
      throw new UnsupportedError('deep-compression-name', `the file has no weights for the layer '${layer}'`, {
        place,
        hint: 'It holds those of layers with conv, fc or ip in their names only.',
      })
  const sections = readSections(files, wanted)
  const layers = new Map<string, StoredLayer>()
  const notes: string[] = []
  for (const [done, section] of sections.entries()) {
    const { layer } = section.parameters
    progress?.({ task: 'reading', done, total: sections.length, detail: { layer } })
    const stored = readLayer(section)
    layers.set(layer, stored)
    const again = encodeLayer(stored)
    if (again.entries !== section.entries || !sameBytes(again.bytes, section.bytes))
      notes.push(`${layer} is stored in an unusual way: written again, its weights are the same and its bytes are not`)
  }
  progress?.({ task: 'reading', done: sections.length, total: sections.length })
  return { model: buildCaffeModel(network, (parameters, draft) => addLayer(draft, parameters, layers)), notes }
}

/** One layer's part of the file. */
interface Section {
  readonly parameters: LayerParameters
  readonly entries: number
  readonly bytes: Uint8Array
  readonly place: string
}

function readSections({ net, netPlace }: DeepCompressionFiles, wanted: readonly LayerParameters[]): Section[] {
  const header = wanted.length * 4
  if (wanted.length === 0) throw wrong('no layer of the prototxt has weights', netPlace)
  if (net.length < header)
    throw wrong(`it has ${net.length} bytes, too few for the header of ${wanted.length} layers`, netPlace)
  const weights = wanted.reduce((sum, { shape }) => sum + elementCount(shape), 0)
  if (weights > FREE_WEIGHTS + net.length * WEIGHTS_PER_BYTE)
    throw wrong(`the prototxt asks for ${weights} weights, more than ${net.length} bytes stand for`, netPlace)
  const view = new DataView(net.buffer, net.byteOffset, net.byteLength)
  let start = header
  const sections = wanted.map((parameters, index): Section => {
    const { layer, shape, outputs } = parameters
    const entries = view.getUint32(index * 4, true)
    if (entries === 0 || entries > elementCount(shape))
      throw wrong(
        `layer ${layer} has ${entries} entries for ${elementCount(shape)} weights`,
        `${netPlace}: byte ${index * 4}`,
      )
    const bits = codeBits(layer)
    const length = 4 * (2 ** bits + outputs) + packedLength(entries, bits) + packedLength(entries, GAP_BITS)
    const place = `${netPlace}: layer ${layer}, from byte ${start}`
    if (start + length > net.length)
      throw wrong(`it ends at byte ${net.length}, and this layer at byte ${start + length}`, place)
    const bytes = net.subarray(start, start + length)
    start += length
    return { parameters, entries, bytes, place }
  })
  if (start < net.length) throw wrong(`${net.length - start} bytes are left over from byte ${start} on`, netPlace)
  return sections
}

/** @throws DataError when an entry lies behind the last weight or a number is not one. */
function readLayer({ parameters, entries, bytes, place }: Section): StoredLayer {
  const { layer, shape, outputs } = parameters
  const bits = codeBits(layer)
  const codebookEnd = 4 * 2 ** bits
  const biasEnd = codebookEnd + 4 * outputs
  const codesEnd = biasEnd + packedLength(entries, bits)
  const codebook = readFloats(bytes.subarray(0, codebookEnd), 'codebook', place)
  if (codebook[0] !== 0) throw wrong(`its codebook begins with ${codebook[0]}, not with 0`, place)
  const bias = readFloats(bytes.subarray(codebookEnd, biasEnd), 'bias', place)
  const gaps = unpack(bytes.subarray(codesEnd), entries, GAP_BITS)
  const count = elementCount(shape)
  const reached = gaps.reduce((sum, gap) => sum + gap + 1, 0)
  if (reached > count) throw wrong(`its entries reach weight ${reached} of ${count}`, place)
  const entryCodes = unpack(bytes.subarray(biasEnd, codesEnd), entries, bits)
  const codes = fromRelativeIndex(gaps, entryCodes, count, 2 ** bits) as Uint8Array
  return { name: layer, codes, codebook, bias }
}

function readFloats(bytes: Uint8Array, what: string, place: string): Float32Array {
  // A Buffer's slice would be no copy, and may begin anywhere.
  const values = new Float32Array(Uint8Array.from(bytes).buffer)
  const bad = values.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0) throw wrong(`number ${bad} of its ${what} is ${values[bad]}`, place)
  return values
}

function addLayer(draft: Draft, { layer, shape }: LayerParameters, layers: ReadonlyMap<string, StoredLayer>) {
  const { codes, codebook, bias } = layers.get(layer)!
  const indices = draft.constant(`${layer}.indices`, createTensor('uint8', shape, codes))
  const position = draft.add('Cast', [indices], { to: INT32 })
  const book = draft.constant(`${layer}.codebook`, float32(codebook))
  const weight = draft.add('Gather', [book, position], {}, { name: `${layer}.weight` })
  return [weight, draft.constant(`${layer}.bias`, float32(bias))] as const
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

function wrong(problem: string, place: string): DataError {
  return new DataError('deep-compression', `not the file that the prototxt describes: ${problem}`, {
    place,
    hint: 'Give the file and the prototxt that were published together, whole.',
  })
}
