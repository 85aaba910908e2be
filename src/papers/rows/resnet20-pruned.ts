import { readFile } from 'node:fs/promises'
import { openData } from '../../datasets/open.ts'
import { readModel } from '../../formats/onnx/read.ts'
import { deepCompression } from '../../paper.ts'
import { parameterBytes } from '../../pipelines/measure.ts'
import { parseRecipe } from '../../pipelines/recipe.ts'
import { runRecipe } from '../../pipelines/run.ts'
import { evaluate } from '../../training/evaluate.ts'
import { definePaperRow, stagesIn } from '../row.ts'

const file = 'models/resnet20_cifar10_akamaster.onnx'

const recipe = `
name: resnet20-pruned
training: { optimizer: sgd, momentum: 0.9, nesterov: true, learningRate: 0.02, schedule: cosine, batchSize: 128, weightDecay: 0.0001, augmentation: crop-flip }
steps:
  - method: magnitude
    scope: global
    sparsity: 0.6
    rounds: 3
    schedule: cubic
    retrain: { epochs: 1 }
    finish: { epochs: 6 }
  - method: k-means
    bits: 5
    initialization: linear
    retrain: { epochs: 1, learningRate: 0.002 }
`

export const resnet20Pruned = definePaperRow({
  name: 'resnet20-pruned',
  summary: 'Prunes a pretrained ResNet-20 over all layers, retrains it, and lets the remaining weights share values.',
  network: 'ResNet-20 for CIFAR-10, pretrained by akamaster',
  data: 'CIFAR-10, batches 1 to 4 less 4,000 images for choices; the first 1,000 test images',
  method: 'magnitude, k-means',
  paper: deepCompression,
  needs: [file, 'cifar10'],
  figures: [
    { name: 'accuracy before', unit: '%', digits: 1 },
    { name: 'accuracy after', unit: '%', digits: 1 },
    { name: 'accuracy lost', unit: 'points', atMost: 0.5, digits: 1, headline: true },
    { name: 'parameters in single precision over the pack', unit: 'x', atLeast: 10, digits: 1, headline: true },
    { name: 'weights kept', unit: 'x', digits: 1 },
    { name: 'storage with indices, by arithmetic', unit: 'x', digits: 1 },
    { name: 'pack', unit: 'bytes', digits: 0 },
  ],
  seeds: [1],
  minutes: 40,
  difference:
    'The paper has no ResNet. The images kept for choices were among those that the pretrained network was trained on. One seed, because a run takes long; a thousand test images carry a standard error of about 0.9 points, of the difference about 0.5.',
  async run({ seed, engine, path, store, progress, signal }) {
    const model = readModel(await readFile(path(file)), { place: file })
    const data = await openData(`cifar10:${path('cifar10')}?mean=0.485,0.456,0.406&std=0.229,0.224,0.225`, { seed })
    const result = await runRecipe(model, parseRecipe(recipe, { file: 'resnet20-pruned' }), {
      engine,
      data,
      seed,
      progress,
      signal,
      latency: false,
      store: stagesIn(store),
    })
    const before = await evaluate(model, data.test, engine, { signal })
    const after = await evaluate(result.model, data.test, engine, { signal })
    const { size } = result.report.stages.at(-1)!
    return {
      'accuracy before': 100 * before.accuracy,
      'accuracy after': 100 * after.accuracy,
      'accuracy lost': 100 * (before.accuracy - after.accuracy),
      'parameters in single precision over the pack': parameterBytes(model) / result.pack.length,
      'weights kept': size.ratios.weights,
      'storage with indices, by arithmetic': size.ratios.storage,
      pack: result.pack.length,
    }
  },
})
