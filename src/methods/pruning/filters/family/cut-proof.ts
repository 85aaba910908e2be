import { sampleInputs } from '../../../../datasets/inputs.ts'
import type { Engine } from '../../../../engines/engine.ts'
import { ModelError } from '../../../../errors.ts'
import { maskChannels, type Removals } from '../../../../ir/cut.ts'
import type { Model } from '../../../../ir/model.ts'
import { toFloat32Model } from '../../../../ir/precision.ts'
import { toNumbers } from '../../../../tensor/elements.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import type { Context, ProofCheck } from '../../../method.ts'

/** The largest difference between a masked and a cut model, relative to the largest value of the output above 1. */
const TOLERANCE = 1e-5

const EXAMPLES = 2

/** Collects what the cuts of one run of a method show. */
export interface CutProof {
  /**
   * Runs the cut model beside the one in which the removed channels are multiplied by zero, in single precision.
   * @throws ModelError when they differ by more than 1e-5: something was cut wrongly.
   */
  compare(model: Model, removals: Removals, cut: Model): Promise<void>
  /** What can be said of all of them; undefined where there was no cut. */
  check(): ProofCheck | undefined
}

/** Starts without cuts. */
export function createCutProof(method: string, { engine, seed }: Pick<Context, 'engine' | 'seed'>): CutProof {
  let [cuts, compared, worst] = [0, 0, 0]
  return {
    async compare(model, removals, cut) {
      cuts++
      const wide = toFloat32Model(cut)
      const feeds = await sampleInputs(wide, { seed, batch: EXAMPLES })
      if (!feeds) return
      const masked = await outputsOf(toFloat32Model(maskChannels(model, removals)), feeds, engine)
      const found = await outputsOf(wide, feeds, engine)
      const difference = Math.max(...Object.keys(masked).map((name) => largestDifference(masked[name], found[name])))
      if (difference > TOLERANCE)
        throw new ModelError(
          'cut-differs',
          `the cut model differs from the masked one by ${difference.toExponential(1)}`,
          {
            place: [...removals.keys()].join(', '),
            hint: 'This is a bug of Espalier: please report it with the model and the recipe.',
          },
        )
      compared++
      worst = Math.max(worst, difference)
    },
    check() {
      if (cuts === 0) return undefined
      const check = `${method}: masked = cut`
      if (compared < cuts)
        return { check, passed: true, leftOut: true, detail: 'not run: an input of the model is not declared' }
      const times = cuts === 1 ? '' : `, ${cuts} cuts`
      return { check, passed: true, detail: `largest difference ${worst.toExponential(1)}, on random inputs${times}` }
    },
  }
}

async function outputsOf(model: Model, feeds: Readonly<Record<string, Tensor>>, engine: Engine) {
  const session = await engine.createSession(model, { purpose: 'check' })
  try {
    return await session.run(feeds)
  } finally {
    await session.close()
  }
}

/** What is not finite has to be so in both. */
function largestDifference(expected: Tensor, found: Tensor): number {
  if (expected.dtype === 'string' || expected.shape.join() !== found.shape.join()) return Number.POSITIVE_INFINITY
  const [a, b] = [toNumbers(expected), toNumbers(found)]
  const scale = a.reduce((largest, value) => (Number.isFinite(value) ? Math.max(largest, Math.abs(value)) : largest), 1)
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i])) continue
    const difference = Math.abs(a[i] - b[i]) / scale
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference)
  }
  return worst
}
