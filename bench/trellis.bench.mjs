/**
 * Dependent quantization against codes that are chosen one by one: bytes of the codes of single layers, as the codec
 * `predictive` makes them and as one makes them that does not know the trellis, at the same distortion. The bytes without a
 * trellis are read off between measurements, along log distortion. The distortion is that of the layer's outputs on data,
 * with error feedback, and that of the weights where there are none.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const root = join(folder, '..')
const data = join(root, '../shared/data')
const built = (path) => import(pathToFileURL(join(root, 'dist', path)).href)

const { codecs } = await built('codecs/index.js')
const { openData } = await built('datasets/open.js')
const { onnxruntime } = await built('engines/onnxruntime.js')
const { readModelFile } = await built('formats/onnx/file.js')
const { layers } = await built('ir/rewrite.js')
const { inputMoments } = await built('methods/calibration.js')
const { quantizeLayer } = await built('methods/quantization/rate-distortion/quantize-layer.js')
const { weightRows } = await built('methods/weight-rows.js')
const { toFloat32 } = await built('tensor/half.js')

const cifar = `cifar10:${join(data, 'cifar10')}?mean=0.485,0.456,0.406&std=0.229,0.224,0.225`
const work = [
  { model: 'squeezenet_fp16', names: ['fire2/expand3x3_1', 'fire5/squeeze1x1_1', 'fire9/squeeze1x1_1'] },
  { model: 'resnet20_cifar10_akamaster', names: ['Conv_21', 'Conv_41', 'Conv_67'] },
  { model: 'resnet20_cifar10_akamaster', names: ['Conv_21', 'Conv_41', 'Conv_67'], spec: cifar },
]
const lambdas = [0.16, 0.08, 0.04, 0.02, 0.01]
const coders = ['predictive', 'mixing']

function bytesOf(codes, shape) {
  const symbols = Uint16Array.from(codes, (code) => (code < 0 ? -2 * code - 1 : 2 * code))
  const alphabet = symbols.reduce((most, symbol) => Math.max(most, symbol), 0) + 1
  const stream = { symbols: alphabet > 256 ? symbols : Uint8Array.from(symbols), alphabet, shape }
  return coders.map((name) => codecs.get(name).encode({ ...stream, order: { kind: 'signed' } }).length)
}

/** Bytes at a distortion, between or beyond the two nearest measurements. */
function bytesAt(points, distortion) {
  const next = points.findIndex((point) => point.distortion < distortion)
  const i = Math.min(points.length - 1, Math.max(1, next === -1 ? points.length - 1 : next))
  const [a, b] = [points[i - 1], points[i]]
  const part = Math.log(distortion / a.distortion) / Math.log(b.distortion / a.distortion)
  return a.bytes.map((bytes, coder) => bytes + part * (b.bytes[coder] - bytes))
}

const rounded = (value, digits) => Number(value.toFixed(digits))
const results = []
for (const { model: file, names, spec } of work) {
  const model = await readModelFile(join(data, 'models', `${file}.onnx`))
  const chosen = layers(model).filter(({ name }) => names.includes(name))
  const examples = spec && (await openData(spec)).train
  const moments = examples && (await inputMoments(model, chosen, examples, 64, { engine: onnxruntime }))
  for (const layer of chosen) {
    const weight = model.graph.initializers.get(layer.weight)
    const values = toFloat32(weight)
    const task = {
      weight,
      values,
      rows: weightRows(model, layer),
      moments: moments?.get(layer.weight),
      total: values.length,
    }
    const measure = (trellis) =>
      lambdas.map((lambda) => {
        const how = { lambda, trellis, grid: 'uniform', bits: 5, compensate: true, damping: 0.01, passes: 3 }
        const { distortion, weight: coded } = quantizeLayer({ ...task, ...how })
        return { lambda, distortion: distortion / values.length, bytes: bytesOf(coded.codes, weight.shape) }
      })
    const plain = measure(false)
    for (const { lambda, distortion, bytes } of measure(true)) {
      const without = bytesAt(plain, distortion)
      const row = {
        model: file,
        layer: layer.name,
        weights: values.length,
        feedback: moments !== undefined,
        lambda,
        distortion: rounded(distortion, 5),
        bitsPerWeight: rounded((8 * bytes[0]) / values.length, 2),
        bytes: bytes[0],
        withoutTrellis: Math.round(without[0]),
        savedPercent: rounded(100 * (1 - bytes[0] / without[0]), 2),
        mixing: bytes[1],
        mixingWithoutTrellis: Math.round(without[1]),
      }
      results.push(row)
      console.log(Object.values(row).join('  '))
    }
  }
}
mkdirSync(join(folder, 'results'), { recursive: true })
writeFileSync(
  join(folder, 'results', 'trellis.json'),
  `${JSON.stringify({ date: new Date().toISOString(), node: process.version, results }, null, 2)}\n`,
)
