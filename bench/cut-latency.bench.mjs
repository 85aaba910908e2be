/**
 * Latency of networks that lost half of their multiply-accumulates by cutting channels, in onnxruntime: the original and
 * the cut ones take turns within one run, and what counts is the ratio of the medians of wall time. With one thread the
 * ratio of processor time stands beside it: it is what a busy machine leaves of the truth. (Threads that wait burn time.)
 * Which channels go does not matter for the time, so the smallest filters do, by L1 norm, about the same share of each
 * layer; `multiple` keeps channels in multiples of 8 or 16, because onnxruntime computes in blocks of so many.
 * `--seconds N` sets how long each row is measured (default 6), `--only NAME` the network.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))
const root = join(folder, '..')
const built = (path) => import(pathToFileURL(join(root, 'dist', path)).href)

const { sampleInputs } = await built('datasets/inputs.js')
const { onnxruntime } = await built('engines/onnxruntime.js')
const { readModelFile } = await built('formats/onnx/file.js')
const { macsOf } = await built('ir/cost.js')
const { toFloat32Model } = await built('ir/precision.js')
const { rebatch } = await built('ir/shapes.js')
const { filterL1 } = await built('methods/pruning/filters/filter-l1.js')
const { networks } = await built('zoo/index.js')

const option = (name, standard) => {
  const at = process.argv.indexOf(name)
  return at < 0 ? standard : process.argv[at + 1]
}
const SECONDS = Number(option('--seconds', 6))
const only = option('--only')
const MULTIPLES = [1, 8, 16]
const ASKED = 1.6

const ofZoo = (name) => async () => networks.get(name).build({ seed: 1 })
const ofFile = (name) => async () =>
  toFloat32Model(await readModelFile(join(root, '../shared/data/models', `${name}.onnx`)))
const sources = {
  'lenet-5': ofZoo('lenet-5'),
  'vgg-small': ofZoo('vgg-small'),
  'resnet-20': ofFile('resnet20_cifar10_akamaster'),
  squeezenet: ofFile('squeezenet_fp16'),
  'mobilenet-small': ofZoo('mobilenet-small'),
}

const sum = (values) => [...values].reduce((total, value) => total + value, 0)
const macs = (model) => sum(macsOf(model).values())
const at = (values, share) => values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))]
const rounded = (value, digits = 4) => Number(value.toPrecision(digits))

/** The model without half of its macs. */
function cut(model, multiple) {
  const options = filterL1.options.parse({ macs: 0.5, multiple, retrain: false })
  return filterL1.apply(model, options, { seed: 1, engine: onnxruntime, skip: () => {} })
}

/** Wall and processor milliseconds of one run of each, for as long as was asked; each takes turns with the others. */
async function turns(models, batch, threads) {
  const sides = []
  for (const model of models) {
    const bound = rebatch(model, batch)
    const feeds = await sampleInputs(bound, { seed: 1, batch })
    const session = await onnxruntime.createSession(bound, { threads })
    for (let i = 0; i < 3; i++) await session.run(feeds)
    const start = performance.now()
    await session.run(feeds)
    // Short runs are timed several at once, for the clock of the processor.
    const repeats = Math.max(1, Math.min(50, Math.ceil(4 / (performance.now() - start))))
    sides.push({ session, feeds, repeats, wall: [], processor: [] })
  }
  const end = performance.now() + SECONDS * 1000
  for (let turn = 0; turn < 5 || performance.now() < end; turn++)
    for (const side of turn % 2 === 0 ? sides : sides.toReversed()) {
      // Threads of the one before may still look for work.
      await side.session.run(side.feeds)
      const [start, usage] = [performance.now(), process.cpuUsage()]
      for (let i = 0; i < side.repeats; i++) await side.session.run(side.feeds)
      const { user, system } = process.cpuUsage(usage)
      side.wall.push((performance.now() - start) / side.repeats)
      side.processor.push((user + system) / 1000 / side.repeats)
    }
  for (const { session } of sides) await session.close()
  return sides.map(({ wall, processor }) => ({
    medianMs: rounded(at(wall, 0.5)),
    lowMs: rounded(at(wall, 0.25)),
    highMs: rounded(at(wall, 0.75)),
    processorMs: rounded(at(processor, 0.5)),
    turns: wall.length,
  }))
}

const rows = []
const leftOut = []
console.log('network          batch threads  multiple   macs      original ms   cut ms   ratio   of processor time')
for (const [network, open] of Object.entries(sources)) {
  if (only !== undefined && only !== network) continue
  const model = await open()
  const models = []
  for (const multiple of MULTIPLES) {
    try {
      models.push({ multiple, model: await cut(model, multiple) })
    } catch (error) {
      leftOut.push({ network, multiple, why: error.message })
      console.log(`${network}, multiples of ${multiple}: ${error.message}`)
    }
  }
  const before = macs(model)
  for (const batch of [1, 16])
    for (const threads of [1, 2]) {
      const [original, ...after] = await turns([model, ...models.map((each) => each.model)], batch, threads)
      for (const [i, measured] of after.entries()) {
        const row = {
          network,
          batch,
          threads,
          multiple: models[i].multiple,
          macsLeft: rounded(macs(models[i].model) / before, 3),
          original,
          cut: measured,
          ratio: rounded(original.medianMs / measured.medianMs, 3),
          ...(threads === 1 && { processorRatio: rounded(original.processorMs / measured.processorMs, 3) }),
          asked: ASKED,
        }
        rows.push(row)
        console.log(
          [
            network.padEnd(16),
            String(batch).padStart(5),
            String(threads).padStart(7),
            String(row.multiple).padStart(9),
            `${(100 * row.macsLeft).toFixed(1)} %`.padStart(8),
            original.medianMs.toFixed(3).padStart(14),
            measured.medianMs.toFixed(3).padStart(9),
            row.ratio.toFixed(2).padStart(7),
            (row.processorRatio?.toFixed(2) ?? '-').padStart(10),
          ].join(' '),
        )
      }
    }
}
const result = {
  node: process.version,
  cpu: cpus()[0].model,
  cores: cpus().length,
  load: rounded(loadavg()[0], 3),
  block: await onnxruntime.block(),
  seconds: SECONDS,
  rows,
  leftOut,
}
if (only === undefined) {
  mkdirSync(join(folder, 'results'), { recursive: true })
  writeFileSync(join(folder, 'results', 'cut-latency.json'), `${JSON.stringify(result, null, 2)}\n`)
}
