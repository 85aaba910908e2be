import { readFile } from 'node:fs/promises'
import type { Dataset } from '../../datasets/dataset.ts'
import { openData } from '../../datasets/open.ts'
import { readModel } from '../../formats/onnx/read.ts'
import type { Model } from '../../ir/model.ts'
import { shiftCnn } from '../../methods/quantization/weights/shift-cnn.ts'
import { parseRecipe } from '../../pipelines/recipe.ts'
import { runRecipe } from '../../pipelines/run.ts'
import { evaluate } from '../../training/evaluate.ts'
import { openResNet20, resNet20File } from '../resnet20.ts'
import { definePaperRow, type Figure, type RowEnvironment } from '../row.ts'

const squeezenetFile = 'models/squeezenet_fp16.onnx'

const recipe = `
name: shift-cnn
steps:
  - method: shift-cnn
    codebooks: 2
    bits: 4
`

function figuresOf(network: string, atMost: number): Figure[] {
  return [
    { name: `${network}, accuracy before`, unit: '%', digits: 1 },
    { name: `${network}, accuracy after`, unit: '%', digits: 1 },
    { name: `${network}, accuracy lost`, unit: 'points', published: 1, atMost, digits: 1, headline: true },
    { name: `${network}, bits a weight, all counted`, unit: '' },
    { name: `${network}, weights kept`, unit: 'x', digits: 1 },
    { name: `${network}, storage with indices, by arithmetic`, unit: 'x', digits: 1 },
    { name: `${network}, bytes of the pack`, unit: 'x', digits: 1 },
  ]
}

export const shiftCnnRow = definePaperRow({
  name: 'shift-cnn',
  summary: 'Makes every weight of two pretrained networks a sum of two powers of two, without training or data.',
  network: 'SqueezeNet 1.1, fp16, and ResNet-20 for CIFAR-10, both pretrained',
  data: '500 labelled images of ImageNet classes, and the first 1,000 test images of CIFAR-10',
  method: shiftCnn.name,
  paper: shiftCnn.paper,
  needs: [squeezenetFile, 'imagenet-sample', resNet20File, 'cifar10'],
  figures: [...figuresOf('SqueezeNet', 1), ...figuresOf('ResNet-20', 0.5)],
  seeds: [1],
  minutes: 2,
  difference:
    'The paper says that networks for ImageNet lose less than a point with two codebooks of four bits. Our images tell something about the difference of two models only; SqueezeNet is another version than in the paper. Nothing was chosen: these are its settings. All layers are quantized.',
  async run(environment) {
    const { seed, path } = environment
    const squeezenet = readModel(await readFile(path(squeezenetFile)), { place: squeezenetFile })
    const images = await openData(`images:${path('imagenet-sample')}?crop=224&order=bgr&mean=104,117,123`)
    const resnet = await openResNet20(path, seed)
    return {
      ...(await measure('SqueezeNet', squeezenet, images.test, environment)),
      ...(await measure('ResNet-20', resnet.model, resnet.data.test, environment)),
    }
  },
})

async function measure(name: string, model: Model, test: Dataset, environment: RowEnvironment) {
  const { engine, seed, progress, signal } = environment
  const result = await runRecipe(model, parseRecipe(recipe), { engine, seed, progress, signal, latency: false })
  const [before, after] = [await evaluate(model, test, engine, { signal }), await evaluate(result.model, test, engine)]
  const { ratios, bitsPerWeight } = result.report.size
  return {
    [`${name}, accuracy before`]: 100 * before.accuracy,
    [`${name}, accuracy after`]: 100 * after.accuracy,
    [`${name}, accuracy lost`]: 100 * (before.accuracy - after.accuracy),
    [`${name}, bits a weight, all counted`]: bitsPerWeight,
    [`${name}, weights kept`]: ratios.weights,
    [`${name}, storage with indices, by arithmetic`]: ratios.storage,
    [`${name}, bytes of the pack`]: ratios.bytes,
  }
}
