import type { Model } from '../ir/model.ts'
import { buildNetwork, type LayerBuilder } from './layers.ts'
import { defineNetwork, type NetworkOptions } from './network.ts'

/** Squeeze and expand channels (each of the two kinds) of the fire modules; `null` is a maximum that halves the image. */
const modules: readonly (readonly [number, number] | null)[] = [
  [16, 32],
  [16, 32],
  null,
  [32, 64],
  [32, 64],
  null,
  [48, 96],
  [48, 96],
]

/**
 * A small SqueezeNet for colour images of 32x32: a convolution of 64 filters, six fire modules (section 3.2), a 1x1
 * convolution to the classes, and their average.
 * Differs from the paper: six modules instead of eight, about half as wide, and images of 32x32.
 */
export function squeezenetSmall({ seed, classes = 10 }: NetworkOptions): Model {
  return buildNetwork('squeezenet-small', seed, [3, 32, 32], classes, (layers, input) => {
    let x = layers.relu(layers.convolution(input, 'conv1', 3, 64, 3, { padding: 1 }))
    let channels = 64
    for (const [index, module] of modules.entries()) {
      if (!module) {
        x = layers.maxPool(x, 3, 2, 1)
        continue
      }
      x = fire(layers, x, `fire${index + 2}`, channels, module[0], module[1])
      channels = 2 * module[1]
    }
    const scores = layers.convolution(x, 'classifier', channels, classes, 1)
    return layers.flatten(layers.globalAveragePool(scores))
  })
}

/** Squeeze by 1x1, then expand by 1x1 and 3x3 side by side. */
function fire(layers: LayerBuilder, x: string, name: string, inputs: number, squeeze: number, expand: number): string {
  const narrow = layers.relu(layers.convolution(x, `${name}.squeeze`, inputs, squeeze, 1))
  const points = layers.relu(layers.convolution(narrow, `${name}.expand1x1`, squeeze, expand, 1))
  const squares = layers.relu(layers.convolution(narrow, `${name}.expand3x3`, squeeze, expand, 3, { padding: 1 }))
  return layers.concat([points, squares])
}

export const squeezenetSmallNetwork = defineNetwork({
  name: 'squeezenet-small',
  summary: 'Six fire modules, without batch normalization, for colour images of 32x32.',
  paper: {
    title: 'SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size',
    authors: 'Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer',
    venue: 'arXiv',
    year: 2016,
    arxiv: '1602.07360',
  },
  inputShape: [3, 32, 32],
  classes: 10,
  build: squeezenetSmall,
})
