import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { channelGroups, type ChannelGroup } from '../../../../../src/ir/channel-groups.ts'
import { cutChannels } from '../../../../../src/ir/cut.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import type { Context, Method } from '../../../../../src/methods/method.ts'
import {
  better,
  randomChannels,
  withMaskTrials,
} from '../../../../../src/methods/pruning/filters/family/mask-trials.ts'
import { leaveOneOut, oracle } from '../../../../../src/methods/pruning/filters/oracle.ts'
import { particleFilter, perturbed, resample } from '../../../../../src/methods/pruning/filters/particle-filter.ts'
import { randomMasks } from '../../../../../src/methods/pruning/filters/random-masks.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { evaluate } from '../../../../../src/training/evaluate.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

const [mlp, cnn, residual] = tinyModels()

function contextFor({ classes, inputShape }: typeof cnn, seed = 1): Context {
  const facts = { classes, inputShape }
  const data = {
    train: patternData({ size: 8, seed: 1, ...facts }),
    validation: patternData({ size: 60, seed: 2, ...facts }),
  }
  return { seed, engine: onnxruntime, data, skip: () => {} }
}

const apply = <Options>(method: Method<string, Options>, model: Model, options: object, context: Context) =>
  method.apply(model, method.options.parse({ retrain: false, ...options }), context)
const removable = (model: Model) => channelGroups(model).filter(({ reason, size }) => reason === undefined && size > 1)
const lossOf = async (model: Model, context: Context) =>
  (await evaluate(model, context.data!.validation, onnxruntime)).loss

describe('the oracle', () => {
  it.each([mlp, cnn, residual])('measures on $name what each channel alone is worth', async (tiny) => {
    const context = contextFor(tiny)
    const changes = await leaveOneOut(tiny.model, removable(tiny.model), 60, context)
    const whole = await lossOf(tiny.model, context)
    for (const { id, size } of removable(tiny.model))
      for (let channel = 0; channel < size; channel++) {
        const cut = cutChannels(tiny.model, new Map([[id, [channel]]]))
        expect(changes.get(id)![channel]).toBeCloseTo((await lossOf(cut, context)) - whole, 4)
      }
  })

  it('removes the channels whose change is smallest, or most negative', async () => {
    const context = contextFor(residual)
    const groups = removable(residual.model)
    const [{ id, size }] = groups
    const changes = (await leaveOneOut(residual.model, groups, 60, context)).get(id)!
    const expected = (values: Float64Array) => {
      const order = Array.from(values.keys()).sort((a, b) => values[a] - values[b])
      return cutChannels(residual.model, new Map([[id, order.slice(0, size / 2)]]))
    }
    const options = { samples: 60, ratio: 0.5 }
    const signed = await apply(oracle, residual.model, { ...options, change: 'signed' }, context)
    const absolute = await apply(oracle, residual.model, options, context)
    expect(await lossOf(signed, context)).toBeCloseTo(await lossOf(expected(changes), context), 5)
    expect(await lossOf(absolute, context)).toBeCloseTo(await lossOf(expected(changes.map(Math.abs)), context), 5)
  })

  it('tells how far it is, and stops when told to', async () => {
    const controller = new AbortController()
    const seen: string[] = []
    const context: Context = {
      ...contextFor(mlp),
      signal: controller.signal,
      progress: ({ task, done, total }) => {
        seen.push(`${task} ${done}/${total}`)
        if (done === 3) controller.abort()
      },
    }
    await expect(apply(oracle, mlp.model, {}, context)).rejects.toThrow()
    expect(seen).toEqual(['oracle 1/16', 'oracle 2/16', 'oracle 3/16'])
  })
})

describe('random masks', () => {
  it('takes the best of those that were tried', async () => {
    const context = contextFor(cnn)
    const plan = removable(cnn.model).map((group) => ({ group, remove: group.size / 2 }))
    const random = createRandom(context.seed).fork('random-masks')
    const masks = Array.from({ length: 8 }, () => randomChannels(plan, random))
    const tried = await withMaskTrials(
      { model: cnn.model, groups: plan.map(({ group }) => group), samples: 60, context },
      async ({ measure }) => {
        const found = []
        for (const removals of masks) found.push({ removals, ...(await measure(removals)) })
        return found
      },
    )
    const [{ removals }] = tried.sort((a, b) => b.accuracy - a.accuracy || a.loss - b.loss)
    const result = await apply(randomMasks, cnn.model, { trials: 8, samples: 60 }, context)
    expect(await lossOf(result, context)).toBeCloseTo(await lossOf(cutChannels(cnn.model, removals), context), 5)
  })

  it('draws every channel equally often, and as many as the plan says', () => {
    const group = { id: 'a', size: 5 } as ChannelGroup
    const random = createRandom(4)
    const counts = new Map<number, number>()
    for (let i = 0; i < 5000; i++) {
      const drawn = randomChannels([{ group, remove: 2 }], random).get('a')!
      expect(new Set(drawn).size).toBe(2)
      for (const channel of drawn) counts.set(channel, (counts.get(channel) ?? 0) + 1)
    }
    for (let channel = 0; channel < 5; channel++) expect(Math.abs(counts.get(channel)! - 2000)).toBeLessThan(150)
  })

  it('prefers fewer errors, then the lower loss, then the first', () => {
    const trial = (accuracy: number, loss: number) => ({ removals: new Map(), accuracy, loss })
    const [a, b, c, d] = [trial(0.5, 1), trial(0.6, 2), trial(0.5, 0.5), trial(0.5, 1)]
    expect(better(a, b)).toBe(b)
    expect(better(b, c)).toBe(b)
    expect(better(a, c)).toBe(c)
    expect(better(a, d)).toBe(a)
  })
})

describe('the particle filter', () => {
  it('draws particles about as often as their weights say', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 12 }),
        fc.nat(),
        (weights, seed) => {
          const drawn = resample(weights, createRandom(seed))
          expect(drawn).toHaveLength(weights.length)
          const total = weights.reduce((sum, weight) => sum + weight, 0)
          for (const [i, weight] of weights.entries()) {
            const expected = total > 0 ? (weight / total) * weights.length : 1
            const found = drawn.filter((drawnAt) => drawnAt === i).length
            expect(Math.abs(found - expected)).toBeLessThan(1 + 1e-9)
          }
        },
      ),
    )
    expect(resample([0, 1, 0], createRandom(1))).toEqual([1, 1, 1])
  })

  it('perturbs masks without changing how many channels go', () => {
    const group = { id: 'a', size: 9 } as ChannelGroup
    const removals = new Map([['a', [0, 3, 4]]])
    expect(perturbed(removals, [{ group, remove: 3 }], 0, createRandom(1))).toEqual(removals)
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const gone = perturbed(removals, [{ group, remove: 3 }], 1, createRandom(seed)).get('a')!
        expect(new Set(gone).size).toBe(3)
        expect(gone.every((channel) => channel >= 0 && channel < 9)).toBe(true)
        expect(gone).not.toEqual([0, 3, 4])
      }),
    )
  })

  it('ends no worse than with the masks that it began with', async () => {
    const context = contextFor(residual, 5)
    const accuracyOf = async (steps: number) => {
      const result = await apply(particleFilter, residual.model, { particles: 6, steps, samples: 60 }, context)
      return (await evaluate(result, context.data!.validation, onnxruntime)).accuracy
    }
    expect(await accuracyOf(8)).toBeGreaterThanOrEqual(await accuracyOf(1))
  })

  it('chooses for all layers together: there is no scope: global', () => {
    expect(particleFilter.options.safeParse({ scope: 'global' }).success).toBe(false)
    expect(randomMasks.options.safeParse({ strategy: 'greedy' }).success).toBe(false)
    expect(oracle.options.safeParse({ scope: 'global' }).success).toBe(true)
  })
})
