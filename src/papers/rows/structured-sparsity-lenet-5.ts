import { sampleInputs } from '../../datasets/inputs.ts'
import type { Model } from '../../ir/model.ts'
import { layers } from '../../ir/rewrite.ts'
import { structuredSparsity } from '../../methods/pruning/filters/structured-sparsity.ts'
import { measureLatency } from '../../pipelines/measure.ts'
import { evaluate } from '../../training/evaluate.ts'
import { lenet5 } from '../../zoo/lenet-5.ts'
import { applyRecipe } from '../apply-recipe.ts'
import { lenet5Row } from '../lenet-5.ts'
import { mnistData, trainOnMnist } from '../mnist.ts'
import { definePaperRow, type RowEnvironment } from '../row.ts'

const name = 'structured-sparsity-lenet-5'

const recipe = `
name: structured-sparsity-lenet-5
training: { optimizer: sgd, momentum: 0.9, learningRate: 0.02, weightDecay: 0.0005, schedule: cosine, batchSize: 128, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7 }
steps:
  - method: structured-sparsity
    include: [conv1, conv2]
    filters: 0.065
    channels: 0
    layers: { conv1: { filters: 0.035 } }
    retrain: { epochs: 3, augmentation: crop, shift: 1 }
    finish: { epochs: 10 }
`

export const structuredSparsityLenet5 = definePaperRow({
  name,
  summary: 'Trains LeNet-5 with a penalty on the norms of filters, cuts those that died, and times the rest.',
  network: lenet5Row.network,
  data: mnistData,
  method: structuredSparsity.name,
  paper: structuredSparsity.paper,
  needs: ['mnist'],
  figures: [
    { name: 'error before', unit: '%', published: 0.9 },
    { name: 'error after', unit: '%', published: 0.8, atMost: 0.8, headline: true },
    { name: 'filters of conv1', unit: '', published: 5, atMost: 5, digits: 1, headline: true },
    { name: 'filters of conv2', unit: '', published: 19, atMost: 19, digits: 1, headline: true },
    { name: 'faster, batch 1', unit: 'x', headline: true },
    { name: 'faster, batch 64', unit: 'x', headline: true },
    { name: 'weights kept', unit: 'x', digits: 1 },
    { name: 'storage with indices, by arithmetic', unit: 'x', digits: 1 },
    { name: 'bytes of the pack', unit: 'x', digits: 1 },
  ],
  seeds: [1, 2, 3],
  minutes: 6,
  difference:
    'The paper times single layers, 1.64x and 5.23x for the two convolutions; we time the whole network in onnxruntime, the original and the cut one in turns. We shift images by up to four pixels while the dense network trains and by one while groups vanish, and follow the dense network as a teacher. Settings were chosen by the validation error of seed 1.',
  async run(environment) {
    const { seed, engine, signal } = environment
    const settings = {
      learningRate: 0.02,
      weightDecay: 0.0005,
      schedule: 'cosine',
      epochs: 10,
      augmentation: 'crop',
    } as const
    const { data, dense } = await trainOnMnist(lenet5({ seed }), settings, environment)
    const { model, report } = await applyRecipe(dense, { name, recipe }, data, environment)
    const error = async (measured: Model) => 100 * (await evaluate(measured, data.test, engine, { signal })).error
    const { ratios } = report.stages.at(-1)!.size
    return {
      'error before': await error(dense),
      'error after': await error(model),
      'filters of conv1': filtersOf(model, 'conv1'),
      'filters of conv2': filtersOf(model, 'conv2'),
      'faster, batch 1': await speedup(dense, model, 1, environment),
      'faster, batch 64': await speedup(dense, model, 64, environment),
      'weights kept': ratios.weights,
      'storage with indices, by arithmetic': ratios.storage,
      'bytes of the pack': ratios.bytes,
    }
  },
})

function filtersOf(model: Model, layer: string): number {
  const { weight } = layers(model).find((candidate) => candidate.name === layer)!
  return model.graph.initializers.get(weight)!.shape[0]
}

/** Ratio of the median times of the two models, which take turns. */
async function speedup(before: Model, after: Model, batch: number, { seed, engine, signal }: RowEnvironment) {
  const feeds = await sampleInputs(before, { seed, batch })
  const latency = await measureLatency(before, after, feeds!, engine, { runs: 300, limitMs: 20_000, signal })
  return latency.before.medianMs / latency.after.medianMs
}
