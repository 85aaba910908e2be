import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { DataError, nearestName, UsageError } from '../errors.ts'
import { fileSource, type ByteSource } from '../formats/byte-source.ts'
import { openNpy, type NpyArray } from '../formats/npy.ts'
import { openZipEntry, readZipDirectory } from '../formats/zip.ts'
import { createTensor, elementCount } from '../tensor/tensor.ts'
import { checkIndices, type Dataset } from './dataset.ts'
import { listFolder, unreadable } from './files.ts'
import { withoutParts } from './images.ts'
import { defineDataset } from './kind.ts'
import { commonOptions, countText, normalisation, shareText, type Affine } from './preprocess.ts'

const options = {
  ...commonOptions,
  x: z
    .string()
    .min(1)
    .meta({ takes: 'name' })
    .optional()
    .describe('name of the array of inputs (default: x, inputs, images, data or arr_0)'),
  y: z
    .string()
    .min(1)
    .meta({ takes: 'name' })
    .optional()
    .describe('name of the array of labels (default: y, labels, targets or arr_1)'),
  layout: z.enum(['chw', 'hwc']).default('chw').describe('axes of one input; hwc is turned into chw'),
  shape: z
    .string()
    .regex(/^[1-9]\d*(,[1-9]\d*)*$/, 'must be sizes such as 1,28,28')
    .transform((text) => text.split(',').map(Number))
    .meta({ takes: 'sizes' })
    .optional()
    .describe('shape of one input where the array has another, such as 1,28,28'),
  classes: countText.optional().describe('number of classes (default: the highest label plus one)'),
  test: shareText
    .optional()
    .describe('part that is kept for testing where no arrays are named for it: fraction or count (default: all)'),
}

interface NpzOptions {
  readonly layout: 'chw' | 'hwc'
  readonly shape?: readonly number[]
  readonly classes?: number
}

/** Arrays of numpy, read row by row where they are not compressed. */
export const npz = defineDataset({
  name: 'npz',
  summary:
    'Arrays of numpy: a .npz file or a folder of .npy files, with x and y, or x_train, y_train, x_test and y_test.',
  location: 'FILE',
  options,
  example: 'npz:data.npz?x=images&y=labels&scale=1/255',
  async open(path, options, name) {
    const arrays = await openArrays(path)
    const create = async (xName: string, yName: string) => {
      const [x, y] = [await arrays.open(xName), await arrays.open(yName)]
      return arrayDataset(name, x, y, options, (channels) => normalisation(options, channels, 1, name))
    }
    if (!options.x && !options.y) {
      for (const key of [
        (part: string, what: string) => `${what}_${part}`,
        (part: string, what: string) => `${part}_${what}`,
      ])
        for (const [x, y] of namePairs)
          if (
            [key('train', x), key('train', y), key('test', x), key('test', y)].every((name) =>
              arrays.names.includes(name),
            )
          )
            return {
              train: await create(key('train', x), key('train', y)),
              test: await create(key('test', x), key('test', y)),
            }
    }
    const pair = namePairs.find(
      ([x, y]) =>
        (options.x !== undefined || arrays.names.includes(x)) && (options.y !== undefined || arrays.names.includes(y)),
    )
    const [x, y] = [options.x ?? pair?.[0], options.y ?? pair?.[1]]
    if (x === undefined || y === undefined)
      throw new UsageError(
        'npz-names',
        `no two of its arrays have names that say inputs and labels: ${arrays.names.join(', ')}`,
        {
          place: path,
          hint: 'Name them, as in ?x=features&y=classes. Labels are needed, if only to measure what is lost.',
        },
      )
    return withoutParts(await create(x, y), options.test ?? 1)
  },
})

const namePairs = [
  'x y',
  'X Y',
  'X y',
  'inputs labels',
  'images labels',
  'data labels',
  'data targets',
  'inputs targets',
  'arr_0 arr_1',
].map((pair) => pair.split(' ') as [string, string])

interface Arrays {
  readonly names: readonly string[]
  open(name: string): Promise<NpyArray>
}

async function openArrays(path: string): Promise<Arrays> {
  const facts = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, 'file', cause)
  })
  const sources = new Map<string, () => Promise<ByteSource>>()
  const add = (file: string, open: () => Promise<ByteSource>) => {
    if (file.endsWith('.npy')) sources.set(basename(file, '.npy'), open)
  }
  if (facts.isDirectory()) for (const file of await listFolder(path)) add(file, () => fileSource(join(path, file)))
  else {
    const archive = await fileSource(path)
    for (const entry of (await readZipDirectory(archive)).values()) add(entry.name, () => openZipEntry(archive, entry))
  }
  const names = [...sources.keys()]
  if (names.length === 0)
    throw new DataError('npz-empty', 'there are no arrays', { place: path, hint: 'Write it with numpy.savez.' })
  return {
    names,
    async open(name) {
      const open = sources.get(name)
      if (open) return openNpy(await open())
      const near = nearestName(name, names)
      throw new UsageError('npz-names', `there is no array '${name}'`, {
        place: path,
        hint: near ? `Did you mean ${near}?` : `Arrays are ${names.join(', ')}.`,
      })
    },
  }
}

async function arrayDataset(
  name: string,
  x: NpyArray,
  y: NpyArray,
  options: NpzOptions,
  affineOf: (channels: number) => Affine,
): Promise<Dataset> {
  const [size, ...stored] = x.shape
  if (x.shape.length < 2) throw shapeError(x, 'inputs have a first axis of records and at least one more')
  if (y.shape[0] !== size) throw shapeError(y, `there are ${y.shape[0]} labels for ${size} records in ${x.place}`)
  if (size === 0) throw shapeError(x, 'there are no records')
  const labels = await readLabels(y)
  const highest = labels.reduce((most, label) => Math.max(most, label), 0)
  const classes = options.classes ?? (y.shape.length === 2 && y.shape[1] > 1 ? y.shape[1] : highest + 1)
  if (highest >= classes)
    throw new DataError('npz-label', `record ${labels.indexOf(highest)} has label ${highest} of ${classes} classes`, {
      place: y.place,
      hint: 'Labels count from 0.',
    })
  const swap = options.layout === 'hwc'
  if (swap && stored.length !== 3) throw shapeError(x, 'layout=hwc needs records of three axes')
  const inputShape = options.shape ?? (swap ? [stored[2], stored[0], stored[1]] : stored)
  const length = elementCount(stored)
  if (elementCount(inputShape) !== length)
    throw shapeError(x, `records of [${stored.join(', ')}] do not fit shape [${inputShape.join(', ')}]`)
  const channels = inputShape.length === 3 ? inputShape[0] : 1
  const { factor, offset } = affineOf(channels)
  const plane = length / channels
  const facts = { name, size, inputShape, classes }
  return {
    ...facts,
    async batch(indices) {
      checkIndices(facts, indices)
      const inputs = new Float32Array(indices.length * length)
      const rows = await x.rows(Array.from(indices))
      let at = 0
      for (const row of rows)
        for (let channel = 0; channel < channels; channel++)
          for (let i = 0; i < plane; i++)
            inputs[at++] = row[swap ? i * channels + channel : channel * plane + i] * factor[channel] + offset[channel]
      const bad = inputs.findIndex((value) => !Number.isFinite(value))
      if (bad >= 0)
        throw new DataError('npz-value', `record ${indices[Math.floor(bad / length)]} has a value that is not finite`, {
          place: x.place,
          hint: 'Take out NaN and infinities.',
        })
      return {
        inputs: createTensor('float32', [indices.length, ...inputShape], inputs),
        labels: Int32Array.from(indices, (index) => labels[index]),
      }
    },
  }
}

/** Class numbers, from numbers (`[N]`, `[N, 1]`) or from one value a class (`[N, classes]`, the largest wins). */
async function readLabels(y: NpyArray): Promise<Int32Array> {
  const width = y.shape[1] ?? 1
  if (y.shape.length < 1 || y.shape.length > 2 || width < 1)
    throw shapeError(y, 'labels have one axis, or one more of classes')
  const result = new Int32Array(y.shape[0])
  const chunk = 4096
  for (let from = 0; from < result.length; from += chunk) {
    const records = Array.from({ length: Math.min(chunk, result.length - from) }, (_, i) => from + i)
    const rows = await y.rows(records)
    rows.forEach((row, i) => {
      let label = row[0]
      if (width > 1) {
        label = 0
        for (let c = 1; c < width; c++) if (row[c] > row[label]) label = c
      }
      if (!Number.isInteger(label) || label < 0 || label >= 1 << 24)
        throw new DataError('npz-label', `record ${from + i} has label ${label}; labels are class numbers from 0`, {
          place: y.place,
        })
      result[from + i] = label
    })
  }
  return result
}

function shapeError(array: NpyArray, problem: string): DataError {
  return new DataError('npz-shape', `array of shape (${array.shape.join(', ')}): ${problem}`, {
    place: array.place,
    hint: 'Records lie along the first axis of both arrays; ?shape= and ?layout= say how one input is meant.',
  })
}
