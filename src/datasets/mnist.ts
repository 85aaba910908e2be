import { join } from 'node:path'
import { DataError } from '../errors.ts'
import { readIdx } from '../formats/idx.ts'
import { byteImageDataset, once } from './byte-images.ts'
import type { Dataset } from './dataset.ts'
import { listFolder, readBytes } from './files.ts'
import { defineDataset } from './kind.ts'
import { commonOptions, normalisation, type Affine } from './preprocess.ts'

/** MNIST and what comes in its format: Fashion-MNIST, KMNIST. */
export const mnist = defineDataset({
  name: 'mnist',
  summary: 'MNIST or anything in its idx format (28 x 28 grey, ten classes), four files, plain or .gz.',
  location: 'DIR',
  options: { ...commonOptions },
  example: 'mnist:data/mnist',
  async open(folder, options, name) {
    const names = await listFolder(folder)
    const affine = normalisation(options, 1, 1 / 255, name)
    return {
      train: await openPart(folder, names, 'train', affine, name),
      test: await openPart(folder, names, 't10k', affine, name),
    }
  },
})

async function openPart(folder: string, names: string[], part: string, affine: Affine, name: string): Promise<Dataset> {
  const labelFile = findFile(folder, names, part, 'labels')
  const imageFile = findFile(folder, names, part, 'images')
  const labels = await readIdx(await readBytes(labelFile), labelFile)
  if (labels.shape.length !== 1)
    throw new DataError('mnist-labels', `labels have one axis, not [${labels.shape.join(', ')}]`, { place: labelFile })
  const wrong = labels.data.findIndex((label) => label > 9)
  if (wrong >= 0)
    throw new DataError('mnist-label', `record ${wrong} has label ${labels.data[wrong]}; labels are 0 to 9`, {
      place: labelFile,
    })
  const size = labels.shape[0]
  const load = once(async () => {
    const images = await readIdx(await readBytes(imageFile), imageFile)
    const [count, height, width] = images.shape
    if (images.shape.length !== 3 || height !== 28 || width !== 28)
      throw new DataError('mnist-images', `images are [count, 28, 28], not [${images.shape.join(', ')}]`, {
        place: imageFile,
      })
    if (count !== size)
      throw new DataError('mnist-count', `there are ${count} images for ${size} labels`, {
        place: imageFile,
        hint: `Images and labels must come from the same set; labels are in ${labelFile}.`,
      })
    return { pixels: images.data, labels: labels.data }
  })
  return byteImageDataset({ name, size, inputShape: [1, 28, 28], classes: 10, affine }, load)
}

function findFile(folder: string, names: string[], part: string, what: 'images' | 'labels'): string {
  const axes = what === 'images' ? 3 : 1
  const pattern = new RegExp(`^${part}-${what}[-.]idx${axes}-ubyte(\\.gz)?$`)
  const found = names.find((name) => pattern.test(name))
  if (found) return join(folder, found)
  throw new DataError(
    'mnist-file',
    `there is no ${part}-${what}-idx${axes}-ubyte or ${part}-${what}-idx${axes}-ubyte.gz`,
    {
      place: folder,
      hint: 'MNIST is four files: train-images, train-labels, t10k-images, t10k-labels.',
    },
  )
}
