import { evaluate } from '../../training/evaluate.ts'
import { applyRecipe } from '../apply-recipe.ts'
import { openResNet20, resNet20File } from '../resnet20.ts'
import { definePaperRow, figureOf, type Figure } from '../row.ts'

/** By entry: the method and its options. */
const entries: Readonly<Record<string, string>> = {
  'uniform, 8 bits': 'method: uniform, bits: 8',
  'uniform, 4 bits': 'method: uniform, bits: 4',
  'uniform, 2 bits': 'method: uniform, bits: 2',
  'learned step size, 2 bits': 'method: learned-step-size-weights, bits: 2',
  'QNN linear, 4 bits': 'method: quantized-neural-networks, bits: 4',
  'QNN logarithmic, 4 bits': 'method: quantized-neural-networks, bits: 4, scheme: logarithmic',
  'DoReFa, 4 bits': 'method: dorefa-weights, bits: 4',
  'DoReFa, 2 bits': 'method: dorefa-weights, bits: 2',
  'DoReFa, 1 bit': 'method: dorefa-weights, bits: 1',
  'ShiftCNN, N=2 B=4': 'method: shift-cnn',
  'INQ, 5 bits': 'method: incremental-network-quantization, bits: 5, portions: [0.5, 1]',
  'INQ, 3 bits': 'method: incremental-network-quantization, bits: 3, exponents: least-squares, portions: [0.5, 1]',
  'ADMM, {0, ±1, ±2, ±4}': 'method: admm-quantization, powers: 3, iterations: 3, rho: 0.1, growth: 4',
  'ADMM, {0, ±1}': 'method: admm-quantization, powers: 1, iterations: 3, rho: 0.1, growth: 4',
  TTQ: 'method: trained-ternary-quantization',
  TWN: 'method: ternary-weight-networks',
  BWN: 'method: binary-weight-networks',
  BWNH: 'method: binary-weights-hashing',
  BNN: 'method: binarized-neural-networks',
  'BinaryConnect, stochastic': 'method: binary-connect, stochastic: true',
}

/** Adam, because the sizes of gradients differ widely from method to method. */
const training =
  '{ optimizer: adam, learningRate: 0.001, schedule: cosine, batchSize: 64, augmentation: crop-flip, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7 }'

/** Epochs of each retraining, in all where a method trains several times. */
const epochs = 0.15

/** What is made without training only. */
const untrained: ReadonlySet<string> = new Set(['ShiftCNN, N=2 B=4'])

/** Trainings of a method that trains more than once; the last is the one around codes that stay. */
const trainings: Readonly<Record<string, number>> = { INQ: 2, ADMM: 4 }

const columns = ['bits a weight', 'pack', 'accuracy before retraining', 'accuracy'] as const

function figuresOf(entry: string): Figure[] {
  return [
    { name: figureOf(entry, columns[0]), unit: '', digits: 2 },
    { name: figureOf(entry, columns[1]), unit: 'bytes', digits: 0 },
    { name: figureOf(entry, columns[2]), unit: '%', digits: 1 },
    ...(untrained.has(entry) ? [] : [{ name: figureOf(entry, columns[3]), unit: '%', digits: 1 }]),
  ]
}

/** The recipe of an entry, with retraining or without. */
function recipeOf(entry: string, retrained: boolean): { readonly name: string; readonly recipe: string } {
  const times = trainings[entry] ?? trainings[entry.split(',')[0]] ?? 1
  const settings = retrained ? `{ epochs: ${epochs / times} }` : 'false'
  const retrain = untrained.has(entry) ? '' : `, retrain: ${settings}`
  const recipe = `
name: weight-quantizers
training: ${training}
steps:
  - { ${entries[entry]}, exclude: [Conv_1, Gemm_73]${retrain} }
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
  figures: Object.keys(entries).flatMap(figuresOf),
  table: { head: 'method', entries: Object.keys(entries), columns },
  seeds: [1],
  minutes: 60,
  difference: `Nobody has published this table. Each method has its defaults (INQ in two portions, ADMM in three turns), leaves the first and the last layer in full precision, and is retrained for ${epochs} epochs by the same settings, which is short: it shows what a method needs training for, not what it can reach. Bits a weight are counted over the whole network, with scales, codebooks, normalization, and the two layers. A thousand test images carry a standard error of about 0.9 points.`,
  async run(environment) {
    const { seed, engine, path, signal } = environment
    const { data, model } = await openResNet20(path, seed)
    const values: Record<string, number> = {}
    for (const entry of Object.keys(entries)) {
      for (const retrained of untrained.has(entry) ? [false] : [false, true]) {
        const result = await applyRecipe(model, recipeOf(entry, retrained), data, environment)
        const { accuracy } = await evaluate(result.model, data.test, engine, { signal })
        const { bitsPerWeight, packBytes } = result.report.stages.at(-1)!.size
        values[figureOf(entry, columns[0])] = bitsPerWeight
        values[figureOf(entry, columns[1])] = packBytes
        values[figureOf(entry, columns[retrained ? 3 : 2])] = 100 * accuracy
      }
    }
    return values
  },
})
