import { evaluate } from '../../training/evaluate.ts'
import { applyRecipe } from '../apply-recipe.ts'
import { measureOnce } from '../measure-once.ts'
import { openResNet20, resNet20File } from '../resnet20.ts'
import { definePaperRow, figureOf, type Figure } from '../row.ts'

interface Entry {
  /** The method and its options. */
  readonly step: string
  /** How many trainings a method makes; default: 1. */
  readonly trainings?: number
}

/** By name. */
const entries: Readonly<Record<string, Entry>> = {
  'uniform, 8 bits': { step: 'method: uniform, bits: 8' },
  'uniform, 4 bits': { step: 'method: uniform, bits: 4' },
  'uniform, 2 bits': { step: 'method: uniform, bits: 2' },
  'learned step size, 2 bits': { step: 'method: learned-step-size-weights, bits: 2' },
  'QNN linear, 4 bits': { step: 'method: quantized-neural-networks, bits: 4' },
  'QNN logarithmic, 4 bits': { step: 'method: quantized-neural-networks, bits: 4, scheme: logarithmic' },
  'DoReFa, 4 bits': { step: 'method: dorefa-weights, bits: 4' },
  'DoReFa, 2 bits': { step: 'method: dorefa-weights, bits: 2' },
  'DoReFa, 1 bit': { step: 'method: dorefa-weights, bits: 1' },
  'ShiftCNN, N=2 B=4': { step: 'method: shift-cnn', trainings: 0 },
  'INQ, 5 bits': { step: 'method: incremental-network-quantization, bits: 5, portions: [0.5, 1]', trainings: 2 },
  'INQ, 3 bits': {
    step: 'method: incremental-network-quantization, bits: 3, exponents: least-squares, portions: [0.5, 1]',
    trainings: 2,
  },
  'ADMM, {0, ±1, ±2, ±4}': {
    step: 'method: admm-quantization, powers: 3, iterations: 3, rho: 0.1, growth: 4',
    trainings: 4,
  },
  'ADMM, {0, ±1}': { step: 'method: admm-quantization, powers: 1, iterations: 3, rho: 0.1, growth: 4', trainings: 4 },
  TTQ: { step: 'method: trained-ternary-quantization' },
  TWN: { step: 'method: ternary-weight-networks' },
  BWN: { step: 'method: binary-weight-networks' },
  BWNH: { step: 'method: binary-weights-hashing' },
  BNN: { step: 'method: binarized-neural-networks' },
  'BinaryConnect, stochastic': { step: 'method: binary-connect, stochastic: true' },
  'weight sharing by k-means, 4 bits': { step: 'method: k-means, bits: 4' },
  'weight sharing by k-means, 2 bits': { step: 'method: k-means, bits: 2' },
  'FFN, 4 bits': { step: 'method: fixed-point-factorization, bits: 4' },
  'FFN, 2 bits': { step: 'method: fixed-point-factorization, bits: 2' },
  'semi-binary decomposition, 2 bits': {
    step: 'method: semi-binary-decomposition, orientation: feature-maps, bits: 2',
  },
  'semi-binary decomposition, 1 bit': { step: 'method: semi-binary-decomposition, orientation: feature-maps, bits: 1' },
}

/** Adam, because the sizes of gradients differ widely from method to method. */
const training =
  '{ optimizer: adam, learningRate: 0.001, schedule: cosine, batchSize: 64, augmentation: crop-flip, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7 }'

/** Epochs of each retraining, in all where a method trains several times. */
const epochs = 0.15

const columns = ['bits a weight', 'pack', 'accuracy before retraining', 'accuracy'] as const

/** Before retraining, and after it where a method can be trained. */
function formsOf({ trainings }: Entry): readonly boolean[] {
  return trainings === 0 ? [false] : [false, true]
}

function figuresOf([name, entry]: readonly [string, Entry]): Figure[] {
  return [
    { name: figureOf(name, columns[0]), unit: '', digits: 2 },
    { name: figureOf(name, columns[1]), unit: 'bytes', digits: 0 },
    ...formsOf(entry).map((trained) => ({ name: figureOf(name, columns[trained ? 3 : 2]), unit: '%', digits: 1 })),
  ]
}

/** The recipe of an entry, with retraining or without. */
function recipeOf(
  { step, trainings = 1 }: Entry,
  trained: boolean,
): { readonly name: string; readonly recipe: string } {
  const settings = trained ? `{ epochs: ${epochs / trainings} }` : 'false'
  const retrain = trainings === 0 ? '' : `, retrain: ${settings}`
  const recipe = `
name: weight-quantizers
training: ${training}
steps:
  - { ${step}, exclude: [Conv_1, Gemm_73]${retrain} }
`
  return { name: 'weight-quantizers', recipe }
}

export const weightQuantizers = definePaperRow({
  name: 'weight-quantizers',
  summary: 'Quantizes the weights of a pretrained ResNet-20 by every method, before and after a short retraining.',
  network: 'ResNet-20 for CIFAR-10, pretrained by akamaster',
  data: 'CIFAR-10, batches 1 to 4 less 4,000 images for choices; the first 1,000 test images',
  method: 'every weight quantizer',
  needs: [resNet20File, 'cifar10'],
  figures: Object.entries(entries).flatMap(figuresOf),
  table: { head: 'method', entries: Object.keys(entries), columns },
  seeds: [1],
  minutes: 60,
  difference: `Nobody has published this table. Each method has its defaults (INQ in two portions, ADMM in three turns, semi-binary decomposition by feature maps), leaves the first and the last layer in full precision, and is retrained for ${epochs} epochs by the same settings, which is short: it shows what a method needs training for, not what it can reach. Bits a weight are counted over the whole network, with scales, codebooks, normalization, and the two layers. Not blind: the signs of semi-binary decomposition first started so near to zero that training turned many of them and ended at 75.3 and 41.9 %; they start farther away now, by validation accuracy. A thousand test images carry a standard error of about 0.9 points.`,
  async run(environment) {
    const { seed, engine, path, store, signal } = environment
    const { data, model } = await openResNet20(path, seed)
    const measure = async (name: string, entry: Entry, trained: boolean) => {
      const result = await applyRecipe(model, recipeOf(entry, trained), data, environment)
      const { accuracy } = await evaluate(result.model, data.test, engine, { signal })
      const { bitsPerWeight, packBytes } = result.report.stages.at(-1)!.size
      return {
        [figureOf(name, columns[0])]: bitsPerWeight,
        [figureOf(name, columns[1])]: packBytes,
        [figureOf(name, columns[trained ? 3 : 2])]: 100 * accuracy,
      }
    }
    const values: Record<string, number> = {}
    for (const [name, entry] of Object.entries(entries))
      for (const trained of formsOf(entry)) {
        const task = name + recipeOf(entry, trained).recipe
        Object.assign(values, await measureOnce(store, task, () => measure(name, entry, trained)))
      }
    return values
  },
})
