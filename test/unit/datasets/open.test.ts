import { describe, expect, it } from 'vitest'
import { describeOptions } from '../../../src/cli/schema.ts'
import { datasets } from '../../../src/datasets/index.ts'
import { openData, parseDataSpec, withDataOptions } from '../../../src/datasets/open.ts'
import { UsageError } from '../../../src/errors.ts'

async function refusal(spec: string): Promise<UsageError> {
  const error = await openData(spec).catch((error: unknown) => error)
  expect(error, spec).toBeInstanceOf(UsageError)
  return error as UsageError
}

describe('withDataOptions', () => {
  it('adds what is not given', () => {
    expect(withDataOptions('digits', {})).toBe('digits')
    expect(withDataOptions('digits', { mean: '0.5' })).toBe('digits?mean=0.5')
    expect(withDataOptions('digits?mean=1', { mean: '0.5', std: '2' })).toBe('digits?mean=1&std=2')
    expect(() => withDataOptions('digits', { crop: '3' })).toThrow(UsageError)
  })
})

describe('specifications of data', () => {
  it('name a kind, a place and options', () => {
    const { kind, location, options } = parseDataSpec('images:C:/a?b/photos?crop=227&order=bgr&mean=104,117,123')
    expect(kind.name).toBe('images')
    expect(location).toBe('C:/a?b/photos')
    expect(options).toMatchObject({ crop: { height: 227, width: 227 }, order: 'bgr', mean: [104, 117, 123] })
    expect(parseDataSpec('images:x?crop=240x320&squash').options).toMatchObject({
      crop: { height: 240, width: 320 },
      squash: 'true',
    })
  })

  it('that are wrong get the nearest right one', async () => {
    expect((await refusal('minst:data')).hint).toContain('mnist')
    expect((await refusal('digit')).hint).toContain('digits')
    expect((await refusal('qqqqqqqq')).hint).toContain('npz')
    expect((await refusal('digits?meen=1')).hint).toContain('mean')
    expect((await refusal('images:x?oder=bgr')).hint).toContain('order')
    expect((await refusal('mnist')).hint).toContain('mnist:DIR')
    expect((await refusal('digits:folder')).message).toContain('takes no path')
  })

  it.each([
    'digits?mean=a',
    'digits?scale=1/0',
    'digits?scale=1/2/3',
    'digits?scale=',
    'digits?range=1..0',
    'digits?train=0',
    'digits?train=1.5',
    'digits?validation=1.5',
    'digits?validation=-1',
    'digits?mean=1&mean=1',
    'images:x?crop=0',
    'images:x?crop=999999',
    'images:x?order=gbr',
    'npz:x?shape=1,0',
  ])('%s is refused', async (spec) => {
    expect((await refusal(spec)).code).toBe('data-option')
  })

  it('are described by their schemas, each option with words', () => {
    for (const { name, options, example } of datasets.values()) {
      const described = describeOptions(options)
      expect(described.map((option) => option.name)).toEqual(Object.keys(options.shape))
      for (const option of described) {
        expect(option.description, `${name} ${option.name}`).not.toBe('')
        expect(option.type, `${name} ${option.name}`).not.toBe('text')
      }
      expect(parseDataSpec(example).kind.name).toBe(name)
    }
    const crop = describeOptions(datasets.get('images')!.options).find(({ name }) => name === 'crop')
    expect(crop).toMatchObject({ default: '224', type: 'size' })
  })
})
