/** What the rows on the pretrained ResNet-20 have in common: a recipe that retrains, and a thousand test images. */
import { readFile } from 'node:fs/promises'
import type { DataSplits } from '../datasets/dataset.ts'
import { openData } from '../datasets/open.ts'
import { readModel } from '../formats/onnx/read.ts'
import type { Model } from '../ir/model.ts'
import type { Paper } from '../paper.ts'
import { parameterBytes } from '../pipelines/measure.ts'
import { parseRecipe } from '../pipelines/recipe.ts'
import { evaluate } from '../training/evaluate.ts'
import { trainingSettings } from '../training/settings.ts'
import { applyRecipe } from './apply-recipe.ts'
import { trainOnce } from './train-once.ts'
import { definePaperRow, type PaperRow } from './row.ts'

/** The pretrained network, below the folder of shared data. */
export const resNet20File = 'models/resnet20_cifar10_akamaster.onnx'

/** The pretrained network, and CIFAR-10 as it was trained on it. */
export async function openResNet20(
  path: (name: string) => string,
  seed: number,
): Promise<{ readonly data: DataSplits; readonly model: Model }> {
  const data = await openData(`cifar10:${path('cifar10')}?mean=0.485,0.456,0.406&std=0.229,0.224,0.225`, { seed })
  return { data, model: readModel(await readFile(path(resNet20File)), { place: resNet20File }) }
}

export interface ResNet20Row {
  readonly name: string
  readonly summary: string
  readonly method: string
  readonly paper: Paper
  /** Text of the recipe. */
  readonly recipe: string
  /** How many times smaller the pack must be than the parameters in single precision, where that is asked. */
  readonly atLeast?: number
  /** How many percent of the multiply-accumulates must be gone, where channels are cut. */
  readonly macsAtLeast?: number
  /** The most points of accuracy to lose. */
  readonly atMost: number
  /**
   * Whether its weights are of few bits: then it has three seeds, bits a weight are told, and what training alone does in
   * full precision.
   */
  readonly lowBit?: true
  readonly minutes: number
  /** What differs from the paper besides the network, in full sentences. */
  readonly remark?: string
}

/** How the rows with few bits train, and their twin in full precision. */
export const lowBitTraining =
  '{ optimizer: sgd, momentum: 0.9, nesterov: true, learningRate: 0.01, schedule: cosine, batchSize: 128, weightDecay: 0.0001, augmentation: crop-flip, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7 }'

/** How long the twin of low-bit networks is trained on in full precision, with the settings of the recipe. */
const twinEpochs = 3

/** A row that applies a recipe to the pretrained network, with batches 1 to 4 to retrain on. */
export function defineResNet20Row(row: ResNet20Row): PaperRow {
  return definePaperRow({
    name: row.name,
    summary: row.summary,
    network: 'ResNet-20 for CIFAR-10, pretrained by akamaster',
    data: 'CIFAR-10, batches 1 to 4 less 4,000 images for choices; the first 1,000 test images',
    method: row.method,
    paper: row.paper,
    needs: [resNet20File, 'cifar10'],
    figures: [
      { name: 'accuracy before', unit: '%', digits: 1 },
      { name: 'accuracy after', unit: '%', digits: 1 },
      { name: 'accuracy lost', unit: 'points', atMost: row.atMost, digits: 1, headline: true },
      ...(row.lowBit
        ? [
            { name: `accuracy in full precision after ${twinEpochs} more epochs`, unit: '%', digits: 1 },
            { name: 'bits a weight, all counted', unit: '' },
          ]
        : []),
      ...(row.macsAtLeast === undefined
        ? []
        : [{ name: 'macs removed', unit: '%', atLeast: row.macsAtLeast, digits: 1, headline: true }]),
      {
        name: 'parameters in single precision over the pack',
        unit: 'x',
        ...(row.atLeast === undefined ? {} : { atLeast: row.atLeast, headline: true }),
        digits: 1,
      },
      { name: 'weights kept', unit: 'x', digits: 1 },
      { name: 'storage with indices, by arithmetic', unit: 'x', digits: 1 },
      { name: 'pack', unit: 'bytes', digits: 0 },
    ],
    seeds: row.lowBit ? [1, 2, 3] : [1],
    minutes: row.minutes,
    difference:
      'The paper has no ResNet-20 for CIFAR-10 of this origin. The images kept for choices were among those that the pretrained network was trained on.' +
      (row.lowBit ? '' : ' One seed, because a run takes long.') +
      ' A thousand test images carry a standard error of about 0.9 points, a difference on them one of 0.5 or more.' +
      (row.remark ? ` ${row.remark}` : ''),
    async run(environment) {
      const { seed, engine, path, signal } = environment
      const { model, data } = await openResNet20(path, seed)
      const result = await applyRecipe(model, row, data, environment)
      const before = await evaluate(model, data.test, engine, { signal })
      const after = await evaluate(result.model, data.test, engine, { signal })
      const twin = async () => {
        const settings = trainingSettings.parse({ ...parseRecipe(row.recipe).training, epochs: twinEpochs })
        const trained = await trainOnce(model, settings, data.train, environment, 'twin')
        return 100 * (await evaluate(trained, data.test, engine, { signal })).accuracy
      }
      const { size } = result.report.stages.at(-1)!
      const work = result.report.work!
      return {
        'accuracy before': 100 * before.accuracy,
        'accuracy after': 100 * after.accuracy,
        'accuracy lost': 100 * (before.accuracy - after.accuracy),
        ...(row.lowBit
          ? {
              [`accuracy in full precision after ${twinEpochs} more epochs`]: await twin(),
              'bits a weight, all counted': size.bitsPerWeight,
            }
          : {}),
        ...(row.macsAtLeast === undefined ? {} : { 'macs removed': 100 * (1 - work.macsAfter / work.macsBefore) }),
        'parameters in single precision over the pack': parameterBytes(model) / result.pack.length,
        'weights kept': size.ratios.weights,
        'storage with indices, by arithmetic': size.ratios.storage,
        pack: result.pack.length,
      }
    },
  })
}
