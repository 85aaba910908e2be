/** The streams of the benchmark: codes and masks made from real pretrained weights, without training. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Groups of streams, one a layer; a stream is `{ name, symbols, alphabet, shape }` as codecs take it. Code 0 is the
 * weight 0 where there are any. `load` reads an ONNX file, `toFloat32` gives the numbers of its tensors.
 */
export async function streamGroups(data, { load, toFloat32 }) {
  const layersOf = async (file) => {
    const path = join(data, 'models', file)
    if (!existsSync(path)) throw new Error(`this benchmark needs ${path}`)
    const { graph } = await load(path)
    const weights = [...graph.initializers].filter(
      ([, { dtype, shape }]) => shape.length > 1 && dtype.startsWith('float'),
    )
    return weights.map(([name, tensor]) => ({ name, shape: tensor.shape, weights: toFloat32(tensor) }))
  }
  const decoded = (await layersOf('squeezenet_v1.0_deepcompression_decoded.onnx')).map(codebookCodes)
  const squeezenet = await layersOf('squeezenet_fp16.onnx')
  const resnet = (await layersOf('resnet20_cifar10_akamaster.onnx')).map((layer) => pruned(layer, 0.7))
  const mlp = (await layersOf('vnn_mnist-net_256x4.onnx')).map((layer) => pruned(layer, 0.9))
  const shared = mlp.map((layer) => kMeansCodes(layer, 5))
  return [
    { name: 'SqueezeNet 1.0 of Deep Compression: codes', streams: decoded },
    { name: 'SqueezeNet 1.0 of Deep Compression: masks', streams: decoded.map(maskOf) },
    ...[4, 6, 8].map((bits) => ({
      name: `SqueezeNet 1.1: ${bits} bits, uniform`,
      streams: squeezenet.map((layer) => uniformCodes(layer, bits)),
    })),
    { name: 'ResNet-20, 70 % pruned: 5 bits, k-means', streams: resnet.map((layer) => kMeansCodes(layer, 5)) },
    { name: 'ResNet-20, 70 % pruned: 6 bits, uniform', streams: resnet.map((layer) => uniformCodes(layer, 6)) },
    { name: 'MLP 784-256x4-10, 90 % pruned: 5 bits, k-means', streams: shared },
    { name: 'MLP 784-256x4-10, 90 % pruned: 6 bits, uniform', streams: mlp.map((layer) => uniformCodes(layer, 6)) },
    { name: 'MLP 784-256x4-10, 90 % pruned: masks', streams: shared.map(maskOf) },
  ]
}

/** The layer with this share of its weights, the smallest, set to 0. */
function pruned(layer, sparsity) {
  const magnitudes = layer.weights.map(Math.abs).sort()
  const threshold = magnitudes[Math.floor(magnitudes.length * sparsity)]
  return { ...layer, weights: layer.weights.map((weight) => (Math.abs(weight) < threshold ? 0 : weight)) }
}

/** Symmetric codes of a whole layer as a pack has them: 0, -1, 1, -2, … are 0, 1, 2, 3, … */
function uniformCodes({ name, shape, weights }, bits) {
  const scale = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) / (2 ** (bits - 1) - 1)
  const symbols = Uint8Array.from(weights, (weight) => {
    const code = Math.round(weight / scale)
    return code < 0 ? -2 * code - 1 : 2 * code
  })
  return { name, symbols, alphabet: 2 ** bits - 1, shape }
}

/** The places of the weights in the list of their values: 0 first, then ascending. */
function codebookCodes({ name, shape, weights }) {
  const codebook = [
    0,
    ...Array.from(new Set(weights))
      .filter((value) => value !== 0)
      .sort((a, b) => a - b),
  ]
  const places = new Map(codebook.map((value, place) => [value, place]))
  return { name, symbols: Uint8Array.from(weights, (weight) => places.get(weight)), alphabet: codebook.length, shape }
}

/** As `codebookCodes` after Lloyd's algorithm over the weights that are left, from centroids at equal distances. */
function kMeansCodes({ name, shape, weights }, bits) {
  const left = weights.filter((weight) => weight !== 0).sort()
  const [least, most] = [left[0], left[left.length - 1]]
  const size = Math.min(2 ** bits - 1, left.length)
  let centroids = Float64Array.from({ length: size }, (_, k) => least + ((most - least) * (k + 0.5)) / size)
  // Weights and centroids ascend: the nearest is the one before or one further on.
  const assign = (visit) => {
    let k = 0
    for (const weight of left) {
      while (k + 1 < size && Math.abs(weight - centroids[k + 1]) <= Math.abs(weight - centroids[k])) k++
      visit(weight, k)
    }
  }
  for (let round = 0; round < 20; round++) {
    const [sums, counts] = [new Float64Array(size), new Float64Array(size)]
    assign((weight, k) => {
      sums[k] += weight
      counts[k]++
    })
    centroids = centroids.map((centroid, k) => (counts[k] === 0 ? centroid : sums[k] / counts[k])).sort()
  }
  const codes = new Map([[0, 0]])
  assign((weight, k) => codes.set(weight, 1 + k))
  const symbols = Uint8Array.from(weights, (weight) => codes.get(weight))
  return { name, symbols, alphabet: size + 1, shape }
}

function maskOf({ name, shape, symbols }) {
  return { name, shape, alphabet: 2, symbols: symbols.map((symbol) => (symbol === 0 ? 0 : 1)) }
}
