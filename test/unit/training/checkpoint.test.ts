import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DataError } from '../../../src/errors.ts'
import { float32, identical } from '../../../src/tensor/tensor.ts'
import { readCheckpoint, writeCheckpoint, type Checkpoint } from '../../../src/training/checkpoint.ts'

const checkpoint: Checkpoint = {
  fingerprint: 'abcd',
  position: { steps: 3, examples: 30, lossSum: 12.5, correct: 9, finished: false, smoothedLoss: 1.5, firstLoss: 2.25 },
  history: [{ epoch: 1, loss: 2, accuracy: 0.5, learningRate: 0.1, validation: { loss: 1, accuracy: 0.75 } }],
  state: new Map([
    ['weight', float32([1, -0, Number.MIN_VALUE, Math.PI], [2, 2])],
    ['bias', float32([], [0])],
  ]),
  best: { epoch: 1, state: new Map([['weight', float32([1, 2, 3, 4], [2, 2])]]) },
}

describe('checkpoints', () => {
  it('come back as they were', () => {
    const read = readCheckpoint(writeCheckpoint(checkpoint))
    expect({ ...read, state: 0, best: 0 }).toEqual({ ...checkpoint, state: 0, best: 0 })
    for (const [name, tensor] of checkpoint.state) expect(identical(read.state.get(name)!, tensor)).toBe(true)
    expect(identical(read.best!.state.get('weight')!, checkpoint.best!.state.get('weight')!)).toBe(true)
  })

  it('reads the Buffer that a file is read into', () => {
    const bytes = writeCheckpoint(checkpoint)
    const file = Buffer.concat([Buffer.from([0]), bytes]).subarray(1)
    expect(readCheckpoint(file)).toEqual(readCheckpoint(bytes))
  })

  it('refuse to be damaged', () => {
    const bytes = writeCheckpoint(checkpoint)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = bytes.slice()
        damaged[at] ^= change
        expect(() => readCheckpoint(damaged)).toThrow(DataError)
      }),
    )
    for (let length = 0; length < bytes.length; length += 7)
      expect(() => readCheckpoint(bytes.slice(0, length))).toThrow(DataError)
  })
})
