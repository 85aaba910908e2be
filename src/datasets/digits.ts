import { byteImageDataset } from './byte-images.ts'
import type { Dataset } from './dataset.ts'
import { digitSide, drawRecord } from './digit-image.ts'
import { defineDataset } from './kind.ts'
import { commonOptions, countText, normalisation, numberText, type Affine } from './preprocess.ts'

/** A million digits take 784 MB once they are drawn. */
const atMost = 1_000_000
const few = (fallback: string) =>
  countText.refine((count) => count <= atMost, { error: `must be at most ${atMost}` }).prefault(fallback)

const options = {
  ...commonOptions,
  train: few('12000').describe('training examples, validation included'),
  test: few('2000').describe('test examples'),
  seed: numberText.prefault('1').describe('another number draws other digits'),
}

/** Generated handwriting: nothing to download, the same pixels everywhere, and hard enough to tell networks apart. */
export const digits = defineDataset({
  name: 'digits',
  summary: 'Built-in generated handwritten digits, 28 x 28 grey, ten classes; nothing is downloaded.',
  options,
  example: 'digits',
  async open(_location, options, name) {
    const affine = normalisation(options, 1, 1 / 255, name)
    return {
      train: series(name, 'train', options.train, options.seed, affine),
      test: series(name, 'test', options.test, options.seed, affine),
    }
  },
})

/** Draws records when they are first asked for and keeps their bytes (784 each). */
function series(name: string, label: string, size: number, seed: number, affine: Affine): Dataset {
  const length = digitSide * digitSide
  const drawn = new Uint8Array(size)
  const labels = new Uint8Array(size)
  let pixels: Uint8Array | undefined
  const facts = {
    name,
    size,
    inputShape: [1, digitSide, digitSide],
    classes: 10,
    classNames: Array.from('0123456789'),
    affine,
  }
  return byteImageDataset(facts, (indices) => {
    pixels ??= new Uint8Array(size * length)
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]
      if (drawn[index]) continue
      labels[index] = drawRecord(seed, label, index, pixels, index * length)
      drawn[index] = 1
    }
    return { pixels, labels }
  })
}
