import { defineWeightQuantizer } from './family.ts'

/** Keeps the sign of each weight and one scale a filter, the mean absolute weight: the best two values ±α there are. */
export const binaryWeightNetworks = defineWeightQuantizer({
  name: 'binary-weight-networks',
  summary: 'Keeps of each weight the sign, and of each filter the mean absolute weight as its scale.',
  paper: {
    title: 'XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks',
    authors: 'Rastegari, Ordonez, Redmon, Farhadi',
    venue: 'ECCV',
    year: 2016,
    arxiv: '1603.05279',
  },
  granularity: 'channel',
  options: {},
  // Section 3.1: B* = sign(W), α* = ‖W‖₁ / n minimize ‖W - αB‖²: [n] -> codes [n] of ±1.
  quantize: (weights) => ({
    codes: Int16Array.from(weights, (weight) => (weight < 0 ? -1 : 1)),
    scale: weights.reduce((sum, weight) => sum + Math.abs(weight), 0) / weights.length,
  }),
})
