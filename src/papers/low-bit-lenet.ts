/**
 * Low-bit networks for MNIST: what the rows of methods have in common that train with few-bit weights and activations.
 */
import { parseRecipe } from '../pipelines/recipe.ts'
import type { Paper } from '../paper.ts'
import { evaluate } from '../training/evaluate.ts'
import { trainingSettings } from '../training/settings.ts'
import { lenet5Wide } from '../zoo/lenet-5-wide.ts'
import { applyRecipe } from './apply-recipe.ts'
import { mnistData, trainOnMnist } from './mnist.ts'
import { definePaperRow, type PaperRow } from './row.ts'
import { trainOnce } from './train-once.ts'

/** How the network is trained in full precision, before anything is quantized. */
const dense = {
  nesterov: true,
  learningRate: 0.05,
  weightDecay: 0.0005,
  schedule: 'cosine',
  epochs: 20,
  batchSize: 128,
  augmentation: 'crop',
  shift: 2,
} as const

export interface LowBitRow {
  readonly name: string
  /** One full sentence: what is done. */
  readonly summary: string
  /** Names of the methods in the recipe. */
  readonly method: string
  readonly paper: Paper
  /** Settings of the training with few bits, which the twin in full precision goes through, too, and the steps. */
  readonly recipe: string
  /** Accuracies in percent. */
  readonly published?: { readonly full?: number; readonly accuracy: number }
  /** What we hold ourselves to, in percent; or in points below the twin. */
  readonly atLeast?: number
  readonly lostAtMost?: number
  readonly minutes: number
  /** Why our figure differs from the paper's, in full sentences. */
  readonly difference: string
}

/** Trains LeNet-5 in full precision, then on by the recipe, and its twin as long in full precision. */
export function defineLowBitRow(row: LowBitRow): PaperRow {
  const { published, atLeast, lostAtMost } = row
  return definePaperRow({
    ...row,
    network: 'LeNet-5 (32C5-64C5-512) with batch normalization, 581,408 weights',
    data: mnistData,
    needs: ['mnist'],
    figures: [
      { name: 'accuracy of the twin in full precision', unit: '%', published: published?.full },
      { name: 'accuracy', unit: '%', published: published?.accuracy, atLeast, headline: true },
      { name: 'accuracy lost', unit: 'points', atMost: lostAtMost, headline: lostAtMost !== undefined },
      { name: 'bits a weight, all counted', unit: '' },
      { name: 'weights kept', unit: 'x', digits: 1 },
      { name: 'storage with indices, by arithmetic', unit: 'x', digits: 1 },
      { name: 'bytes of the pack', unit: 'x', digits: 1 },
      { name: 'pack', unit: 'bytes', digits: 0 },
    ],
    seeds: [1, 2, 3],
    async run(environment) {
      const { seed, engine, signal } = environment
      const start = await trainOnMnist(lenet5Wide({ seed }), dense, environment)
      const { data } = start
      const { model, report } = await applyRecipe(start.dense, row, data, environment)
      const settings = trainingSettings.parse(parseRecipe(row.recipe).training)
      const twin = await trainOnce(start.dense, settings, data.train, environment, 'twin')
      const accuracy = async (measured: typeof model) =>
        100 * (await evaluate(measured, data.test, engine, { signal })).accuracy
      const [full, low] = [await accuracy(twin), await accuracy(model)]
      const { ratios, bitsPerWeight, packBytes } = report.stages.at(-1)!.size
      return {
        'accuracy of the twin in full precision': full,
        accuracy: low,
        'accuracy lost': full - low,
        'bits a weight, all counted': bitsPerWeight,
        'weights kept': ratios.weights,
        'storage with indices, by arithmetic': ratios.storage,
        'bytes of the pack': ratios.bytes,
        pack: packBytes,
      }
    },
  })
}
