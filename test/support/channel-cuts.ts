/** Random cuts of channels, and whether what is left computes what the masked model computes. */
import { expect } from 'vitest'
import { onnxruntime } from '../../src/engines/onnxruntime.ts'
import { channelGroups } from '../../src/ir/channel-groups.ts'
import { cutChannels, maskChannels } from '../../src/ir/cut.ts'
import type { Model } from '../../src/ir/model.ts'
import { verify } from '../../src/ir/verify.ts'
import { toNumbers } from '../../src/tensor/elements.ts'
import { createRandom } from '../../src/tensor/random.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { randomFeeds } from './random-feeds.ts'

/** Some channels of every group that can be cut, at least one where there are two, never all. */
export function randomRemovals(model: Model, seed: number, ratio = 0.4): Map<string, number[]> {
  const random = createRandom(seed)
  const removals = new Map<string, number[]>()
  for (const group of channelGroups(model)) {
    if (group.reason !== undefined || group.size < 2) continue
    const channels = Array.from({ length: group.size }, (_, channel) => channel)
    const removed = channels.slice(1).filter(() => random.uniform() < ratio)
    removals.set(group.id, removed.length > 0 ? removed : [1])
  }
  return removals
}

export interface CutComparison {
  /** The largest difference of an output, relative to the largest absolute value of that output where this is above 1. */
  readonly worst: number
  readonly cut: Model
  readonly removed: number
}

/** Cuts random channels and runs the result beside the masked model in onnxruntime. */
export async function compareRandomCut(model: Model, seed: number, ratio?: number): Promise<CutComparison> {
  const removals = randomRemovals(model, seed, ratio)
  const cut = cutChannels(model, removals)
  expect(verify(cut)).toEqual([])
  const feeds = randomFeeds(model, seed)
  const expected = await runOnce(maskChannels(model, removals), feeds)
  const found = await runOnce(cut, feeds)
  const removed = [...removals.values()].reduce((sum, channels) => sum + channels.length, 0)
  return { worst: largestDifference(expected, found), cut, removed }
}

export async function runOnce(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
  const session = await onnxruntime.createSession(model, { purpose: 'check' })
  try {
    return await session.run(feeds)
  } finally {
    await session.close()
  }
}

/** NaNs and infinities must be in the same places. */
export function largestDifference(
  expected: Readonly<Record<string, Tensor>>,
  found: Readonly<Record<string, Tensor>>,
): number {
  expect(Object.keys(found)).toEqual(Object.keys(expected))
  let worst = 0
  for (const [name, tensor] of Object.entries(expected)) {
    expect(found[name].shape).toEqual(tensor.shape)
    const [a, b] = [toNumbers(tensor), toNumbers(found[name])]
    const scale = a.reduce((largest, value) => Math.max(largest, Number.isFinite(value) ? Math.abs(value) : 0), 1)
    for (let i = 0; i < a.length; i++) {
      if (Object.is(a[i], b[i])) continue
      const difference = Math.abs(a[i] - b[i]) / scale
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference)
    }
  }
  return worst
}
