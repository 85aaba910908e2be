import { readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { isAbsolute, join, normalize } from 'node:path'
import { z } from 'zod'
import { DataError, UsageError } from '../errors.ts'
import { readCsv } from '../formats/csv.ts'
import { imageEndings, readImage, type ImageGeometry } from '../formats/images.ts'
import { createTensor } from '../tensor/tensor.ts'
import { emptyDataset } from './byte-images.ts'
import { checkIndices, splitDataset, type Dataset } from './dataset.ts'
import { fileLength, listFolder, readBytes, unreadable } from './files.ts'
import { defineDataset, type Source } from './kind.ts'
import {
  byteTables,
  commonOptions,
  countText,
  normalisation,
  shareCount,
  shareText,
  type Affine,
} from './preprocess.ts'

/** A size as `227`, or `240x320` for height and width. */
const sizeText = z
  .string()
  .transform((text, context) => {
    const match = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(text)
    const [height, width] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])]
    if (match && height > 0 && width > 0) return { height, width }
    context.addIssue({ code: 'custom', message: `'${text}' is not a size such as 224 or 240x320 (height x width)` })
    return z.NEVER
  })
  .meta({ takes: 'size' })

const options = {
  ...commonOptions,
  crop: sizeText.prefault('224').describe('size fed, from the centre: 227, or 240x320 (height x width)'),
  resize: countText
    .optional()
    .describe('the short side is brought to this many pixels first (default 256, or crop where that is more)'),
  squash: z
    .enum(['true', 'false'])
    .default('false')
    .describe('stretch the whole image to the size of crop instead of cutting'),
  order: z.enum(['rgb', 'bgr', 'grey']).default('rgb').describe('order of the colour channels, or one grey channel'),
  classes: countText.optional().describe('number of classes (default: the highest label plus one)'),
  test: shareText
    .optional()
    .describe('part that is kept for testing where there is no folder for it: fraction or count (default: all)'),
  cache: countText.prefault('256').describe('megabytes of decoded images kept in memory'),
}

/** A part of the folder: its files and their labels. */
interface Listing {
  readonly files: readonly string[]
  readonly labels: readonly number[]
  readonly classNames: readonly string[]
}

/** Photographs and other images, decoded when a batch asks for them. */
export const images = defineDataset({
  name: 'images',
  summary:
    'A folder of images with labels.csv (columns file, label, and name if you like), or with a sub-folder a class; or of two such folders, train and test.',
  location: 'DIR',
  options,
  example: 'images:photos?crop=227&order=bgr&mean=104,117,123',
  async open(folder, options, name) {
    const channels = options.order === 'grey' ? 1 : 3
    const affine = normalisation(options, channels, 1, name)
    const shortSide = options.resize ?? Math.max(256, options.crop.height, options.crop.width)
    const geometry: ImageGeometry = {
      ...options.crop,
      channels: options.order,
      fit: options.squash === 'true' ? 'squash' : { shortSide },
    }
    if (options.squash === 'true' && options.resize !== undefined)
      throw new UsageError('data-option', 'squash leaves nothing for resize to do', {
        place: name,
        hint: 'Give crop for the size, and one of the two.',
      })
    const create = (listing: Listing) => {
      const classes = options.classes ?? listing.labels.reduce((most, label) => Math.max(most, label + 1), 1)
      return imageDataset(name, listing, classes, geometry, affine, options.cache * 2 ** 20)
    }
    const entries = await listFolder(folder)
    const testName = ['test', 'val', 'validation'].find((part) => entries.includes(part))
    if (entries.includes('train') && testName) {
      const train = await listImages(join(folder, 'train'))
      const test = await listImages(join(folder, testName), train.classNames)
      const classes = Math.max(...[train, test].flatMap((part) => part.labels)) + 1
      const at = (listing: Listing) =>
        imageDataset(name, listing, options.classes ?? classes, geometry, affine, options.cache * 2 ** 19)
      return { train: at(train), test: at(test) }
    }
    return withoutParts(create(await listImages(folder)), options.test ?? 1)
  },
})

/** Divides a source that came in one piece. The parts are chosen by a fixed seed: test examples stay test examples. */
export function withoutParts(all: Dataset, share: number): Source {
  const held = shareCount(share, all.size)
  if (held === all.size) return { train: emptyDataset(all), test: all }
  const [train, test] = splitDataset(all, held, 0)
  return { train, test }
}

async function listImages(folder: string, classNames?: readonly string[]): Promise<Listing> {
  const entries = await listFolder(folder)
  const listing = entries.includes('labels.csv')
    ? await listTable(folder)
    : await listClasses(folder, entries, classNames)
  if (listing.files.length === 0)
    throw new DataError('images-none', 'there are no images', {
      place: folder,
      hint: 'Put images in a sub-folder a class, or list them in labels.csv with columns file and label.',
    })
  return listing
}

async function listTable(folder: string): Promise<Listing> {
  const place = join(folder, 'labels.csv')
  const files: string[] = []
  const labels: number[] = []
  const names = new Map<number, string>()
  for (const { line, fields } of readCsv(new TextDecoder().decode(await readBytes(place)), place)) {
    const fail = (problem: string, hint: string) => {
      throw new DataError('images-labels', `line ${line}: ${problem}`, { place: `${place}:${line}`, hint })
    }
    const { file, label, name } = fields
    if (file === undefined || label === undefined)
      return fail('there is no column file or no column label', 'Begin the table with the line: file,label')
    if (!/^\d{1,7}$/.test(label.trim())) fail(`label '${label}' is not a class number`, 'Number the classes from 0.')
    if (file === '' || isAbsolute(file) || normalize(file).startsWith('..'))
      fail(`'${file}' does not lie in the folder`, 'Name files relative to the folder of labels.csv.')
    files.push(join(folder, file))
    labels.push(Number(label))
    if (name !== undefined) names.set(Number(label), name)
  }
  await checkPresent(files, place)
  const count = labels.reduce((most, label) => Math.max(most, label + 1), 0)
  return {
    files,
    labels,
    classNames: names.size > 0 ? Array.from({ length: count }, (_, i) => names.get(i) ?? '') : [],
  }
}

/** Says of all listed files at once which are missing, before hours of work end at the last of them. */
async function checkPresent(files: readonly string[], place: string): Promise<void> {
  const present = new Map<string, Set<string>>()
  for (const file of files) {
    const folder = join(file, '..')
    if (!present.has(folder)) present.set(folder, new Set(await readdir(folder).catch(() => [])))
  }
  const missing = files.filter((file) => !present.get(join(file, '..'))?.has(file.slice(join(file, '..').length + 1)))
  if (missing.length === 0) return
  throw new DataError('images-missing', `${missing.length} listed files are not there, the first is ${missing[0]}`, {
    place,
    hint: 'Take their lines out of labels.csv, or bring the files.',
  })
}

async function listClasses(folder: string, entries: readonly string[], known?: readonly string[]): Promise<Listing> {
  const inside = new Map<string, string[]>()
  for (const entry of await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw unreadable(folder, 'folder', cause)
  }))
    if (entry.isDirectory() && !entry.name.startsWith('.'))
      inside.set(entry.name, (await readdir(join(folder, entry.name))).filter((name) => imageEndings.test(name)).sort())
  const names = entries.filter((entry) => inside.has(entry))
  const classNames = known?.length ? known : names
  const stranger = names.find((name) => !classNames.includes(name))
  if (stranger !== undefined)
    throw new DataError('images-class', `class ${stranger} is not among the classes of the training folder`, {
      place: join(folder, stranger),
      hint: 'Give both folders the same sub-folders.',
    })
  const empty = names.find((name) => inside.get(name)!.length === 0)
  if (empty !== undefined)
    throw new DataError('images-empty-class', 'the folder of this class has no images', {
      place: join(folder, empty),
      hint: 'Fill it or take it away.',
    })
  const files = names.flatMap((name) => inside.get(name)!.map((file) => join(folder, name, file)))
  const labels = names.flatMap((name) => inside.get(name)!.map(() => classNames.indexOf(name)))
  return { files, labels, classNames }
}

/** Decodes as batches ask, and keeps the bytes of the images used last. */
function imageDataset(
  name: string,
  listing: Listing,
  classes: number,
  geometry: ImageGeometry,
  affine: Affine,
  cacheBytes: number,
): Dataset {
  const wrong = listing.labels.findIndex((label) => label >= classes)
  if (wrong >= 0)
    throw new DataError('images-label', `record ${wrong} has label ${listing.labels[wrong]} of ${classes} classes`, {
      place: listing.files[wrong],
      hint: 'Labels count from 0.',
    })
  const channels = affine.factor.length
  const plane = geometry.height * geometry.width
  const tables = byteTables(affine)
  const cached = new Map<number, Uint8Array>()
  const most = Math.max(1, Math.floor(cacheBytes / (channels * plane)))
  const fetch = async (index: number): Promise<Uint8Array> => {
    const pixels = cached.get(index) ?? (await decode(listing.files[index], geometry))
    cached.delete(index)
    cached.set(index, pixels)
    if (cached.size > most) cached.delete(cached.keys().next().value!)
    return pixels
  }
  const facts = {
    name,
    size: listing.files.length,
    inputShape: [channels, geometry.height, geometry.width],
    classes,
    classNames: listing.classNames.length > 0 ? listing.classNames : undefined,
  }
  return {
    ...facts,
    async batch(indices) {
      checkIndices(facts, indices)
      const inputs = new Float32Array(indices.length * channels * plane)
      let next = 0
      const work = async () => {
        for (let n = next++; n < indices.length; n = next++) {
          const pixels = await fetch(indices[n])
          for (let channel = 0; channel < channels; channel++) {
            const table = tables[channel]
            const at = (n * channels + channel) * plane
            for (let i = 0; i < plane; i++) inputs[at + i] = table[pixels[channel * plane + i]]
          }
        }
      }
      await Promise.all(Array.from({ length: Math.min(indices.length, availableParallelism()) }, work))
      return {
        inputs: createTensor('float32', [indices.length, channels, geometry.height, geometry.width], inputs),
        labels: Int32Array.from(indices, (index) => listing.labels[index]),
      }
    },
  }
}

async function decode(file: string, geometry: ImageGeometry): Promise<Uint8Array> {
  if ((await fileLength(file)) === 0)
    throw new DataError('image-damaged', 'the image file is empty', { place: file, hint: 'Fetch the file again.' })
  return readImage(file, geometry)
}
