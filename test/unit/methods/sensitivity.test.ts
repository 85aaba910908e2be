import { describe, expect, it } from 'vitest'
import { measureSensitivity, type LayerToTry } from '../../../src/methods/sensitivity.ts'

const whole = { accuracy: 0.9, loss: 0.5 }
const facts = { unit: 'bits' as const, parts: 'weights' as const, data: 'made up', count: 100, whole }

const layer = (name: string, found: Readonly<Record<number, number | undefined>>): LayerToTry => ({
  name,
  size: 10,
  tries: Object.entries(found).map(([at, loss]) => ({
    at: Number(at),
    measure: async () => (loss === undefined ? undefined : { accuracy: Number(at) / 10, loss }),
  })),
})

describe('measureSensitivity', () => {
  it('tells each layer in ascending order, without what it cannot be', async () => {
    const layers = [layer('a', { 2: 3, 4: undefined, 8: 1 }), layer('b', { 3: undefined })]
    layers.push({ ...layers[0], name: 'c', tries: layers[0].tries.toReversed() })
    const found = await measureSensitivity(layers, facts, {})
    const points = [
      { at: 2, accuracy: 0.2, loss: 3 },
      { at: 8, accuracy: 0.8, loss: 1 },
    ]
    expect(found).toEqual({
      unit: 'bits',
      parts: 'weights',
      data: 'made up',
      count: 100,
      accuracy: 0.9,
      curves: [
        { layer: 'a', size: 10, points },
        { layer: 'b', size: 10, points: [] },
        { layer: 'c', size: 10, points },
      ],
    })
  })

  it('keeps numbers only: of a layer that breaks the model the accuracy', async () => {
    const { curves } = await measureSensitivity([layer('a', { 2: Number.NaN, 3: Infinity, 4: 1 })], facts, {})
    expect(curves[0].points).toEqual([
      { at: 2, accuracy: 0.2 },
      { at: 3, accuracy: 0.3 },
      { at: 4, accuracy: 0.4, loss: 1 },
    ])
  })

  it('compares nothing with a model that computes no numbers, and stops when told to', async () => {
    const broken = { ...facts, whole: { accuracy: 0.1, loss: Number.NaN } }
    await expect(measureSensitivity([], broken, {})).rejects.toMatchObject({ code: 'loss-not-finite' })
    const stopped = AbortSignal.abort(new Error('stop'))
    await expect(measureSensitivity([layer('a', { 2: 1 })], facts, { signal: stopped })).rejects.toThrow('stop')
  })
})
