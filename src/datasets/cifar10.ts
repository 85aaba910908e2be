import { join } from 'node:path'
import { DataError } from '../errors.ts'
import { cifarPixels, cifarRecords, readCifar } from '../formats/cifar.ts'
import { byteImageDataset, emptyDataset, once } from './byte-images.ts'
import type { Dataset } from './dataset.ts'
import { fileLength, listFolder, readBytes } from './files.ts'
import { defineDataset } from './kind.ts'
import { commonOptions, normalisation, orderOption } from './preprocess.ts'

const facts = {
  inputShape: [3, 32, 32],
  classes: 10,
  classNames: ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
}

/** CIFAR-10 as its authors publish it in binary; training and test files may each be a part of all. */
export const cifar10 = defineDataset({
  name: 'cifar10',
  summary: 'CIFAR-10 in its binary version (32 x 32 colour, ten classes): data_batch_*.bin and test_*.bin.',
  location: 'DIR',
  options: { ...commonOptions, order: orderOption },
  example: 'cifar10:data/cifar10?mean=0.485,0.456,0.406&std=0.229,0.224,0.225',
  async open(folder, options, name) {
    const names = await listFolder(folder)
    const affine = normalisation(options, 3, 1 / 255, name)
    const channelOrder = options.order === 'bgr' ? [2, 1, 0] : undefined
    const part = async (pattern: RegExp): Promise<Dataset> => {
      const files = names.filter((file) => pattern.test(file)).map((file) => join(folder, file))
      if (files.length === 0) return emptyDataset({ name, ...facts })
      let size = 0
      for (const file of files) size += cifarRecords(await fileLength(file), file)
      return byteImageDataset({ name, size, ...facts, affine, channelOrder }, loader(files, size))
    }
    const source = { train: await part(/^data_batch_\d+\.bin$/), test: await part(/^test_\w+\.bin$/) }
    if (source.train.size + source.test.size > 0) return source
    throw new DataError('cifar-file', 'there are no data_batch_*.bin and no test_*.bin', {
      place: folder,
      hint: 'Unpack the binary version of CIFAR-10 and give the folder with its .bin files.',
    })
  },
})

/** Reads the files one after another at the first use: 3,073 bytes a record stay in memory. */
function loader(files: readonly string[], size: number) {
  return once(async () => {
    const labels = new Uint8Array(size)
    const pixels = new Uint8Array(size * cifarPixels)
    let at = 0
    for (const file of files) {
      const bytes = await readBytes(file)
      readCifar(bytes, pixels, labels, at, file)
      at += cifarRecords(bytes.length, file)
    }
    if (at < size) throw new DataError('cifar-length', 'a file became shorter while it was used', { place: files[0] })
    return { pixels, labels }
  })
}
