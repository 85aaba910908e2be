import type { Context } from '../../methods/method.ts'
import { methods } from '../../methods/index.ts'
import { deepCompression } from '../../paper.ts'
import { evaluate } from '../../training/evaluate.ts'
import { lenet300100 } from '../../zoo/lenet-300-100.ts'
import { trainOnMnist } from '../mnist.ts'
import { definePaperRow, type Figure } from '../row.ts'

const initializations = ['random', 'density', 'linear'] as const
const bits = [2, 3, 4, 5]
const stages = ['without', 'with'] as const

const figureName = (initialization: string, width: number, stage: string) =>
  `${initialization}, ${width} bits, error ${stage} fine-tuning`

export const kMeansInitializations = definePaperRow({
  name: 'k-means-initializations',
  summary: 'Shares the weights of a pruned LeNet-300-100 from three initializations, with and without fine-tuning.',
  network: 'LeNet-300-100, pruned to 8, 9 and 26 % of its weights',
  data: 'MNIST, 55,000 images to train, 10,000 to test',
  method: 'k-means',
  paper: deepCompression,
  needs: ['mnist'],
  figures: [
    { name: 'error of the pruned network', unit: '%' },
    ...bits.flatMap((width) =>
      initializations.flatMap((initialization) =>
        stages.map((stage): Figure => ({ name: figureName(initialization, width, stage), unit: '%' })),
      ),
    ),
  ],
  seeds: [1, 2, 3],
  minutes: 4,
  difference:
    'The paper draws the curves for AlexNet and finds linear initialization the best except at 3 bits; nothing is asked of ours, and the table shows what came out.',
  async run(environment) {
    const { seed, engine, progress, signal } = environment
    const sgd = { learningRate: 0.05, weightDecay: 0.0003, schedule: 'cosine' } as const
    const settings = { ...sgd, learningRate: 0.1, epochs: 10 }
    const { data, dense } = await trainOnMnist(lenet300100({ seed }), settings, environment)
    const context: Context = { seed, engine, signal, progress, data, training: sgd, skip: () => {} }
    const apply = (name: string, model: typeof dense, options: object) => {
      const method = methods.get(name)!
      return method.apply(model, method.options.parse(options), context)
    }
    const pruned = await apply('magnitude', dense, {
      sparsity: 0.92,
      layers: { fc2: { sparsity: 0.91 }, fc3: { sparsity: 0.74 } },
      rounds: 4,
      retrain: { epochs: 2 },
    })
    const error = async (model: typeof dense) => 100 * (await evaluate(model, data.test, engine, { signal })).error
    const values: Record<string, number> = { 'error of the pruned network': await error(pruned) }
    for (const width of bits)
      for (const initialization of initializations)
        for (const stage of stages) {
          const retrain = stage === 'with' && { epochs: 2, learningRate: 0.0005, weightDecay: 0 }
          const shared = await apply('k-means', pruned, { bits: width, initialization, retrain })
          values[figureName(initialization, width, stage)] = await error(shared)
        }
    return values
  },
})
