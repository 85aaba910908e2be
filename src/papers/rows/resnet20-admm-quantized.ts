import { admmQuantization } from '../../methods/quantization/weights/admm-quantization.ts'
import { defineResNet20Row, lowBitTraining, type ResNet20Row } from '../resnet20.ts'

/** ADMM with zero and so many powers of two. */
function admm(powers: number, set: string, published: number, atMost: number): ResNet20Row {
  const name = `resnet20-admm-${powers}-${powers === 1 ? 'power' : 'powers'}`
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
    powers: ${powers}
    granularity: channel
    exclude: [Conv_1, Gemm_73]
    rho: 0.05
    growth: ${powers < 3 ? 2.2 : 1.6}
    dual: kept
    retrain: { epochs: 0.3 }
    finish: { epochs: 0.5 }
`,
    lowBit: true,
    atMost,
    minutes: 15,
    remark: `The paper's ResNet-18 loses ${published} points on ImageNet. First and last layer stay in full precision, as is usual there. Weights learn by plain gradients with momentum in the place of extra-gradient steps, of which every second only looks ahead.${powers === 1 ? ' The pull grows faster than at first: with a growth of 1.6 weights were still far from the set at the end, and 3.5 points of these test images were lost.' : ''}`,
  }
}

export const resnet20AdmmTernary = defineResNet20Row(admm(1, '{0, ±1}', 3.3, 1.5))
export const resnet20Admm2 = defineResNet20Row(admm(2, '{0, ±1, ±2}', 2.8, 1))
export const resnet20Admm4 = defineResNet20Row(admm(3, '{0, ±1, ±2, ±4}', 2.3, 0.7))
