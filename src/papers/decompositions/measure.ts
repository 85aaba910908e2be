/** What is measured of a network whose convolutions were decomposed. */
import type { Dataset } from '../../datasets/dataset.ts'
import type { Engine } from '../../engines/engine.ts'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import { comparableLayers, withTaps } from '../../pipelines/taps.ts'
import { toFloat32 } from '../../tensor/half.ts'
import { createTensor, elementCount } from '../../tensor/tensor.ts'
import { fitInput } from '../../training/predictor.ts'

/** Examples of one run: the outputs of all layers are held at once. */
const BATCH = 16

/**
 * ‖ŷ - y‖ / ‖y‖ of each layer's output by its name, over the first `count` examples together: y as the original makes
 * it, ŷ as the changed model does, each layer on what the layers in front of it give.
 */
export async function outputErrors(
  original: Model,
  changed: Model,
  data: Dataset,
  count: number,
  { engine, signal }: { readonly engine: Engine; readonly signal?: AbortSignal | undefined },
): Promise<ReadonlyMap<string, number>> {
  const tapped = comparableLayers(original, changed)
  const taps = tapped.map(({ node }) => node.outputs[0])
  const input = fitInput(original, data.inputShape)
  const sums = taps.map(() => ({ difference: 0, size: 0 }))
  const [before, after] = await Promise.all(
    [original, changed].map((model) => engine.createSession(withTaps(model, taps))),
  )
  try {
    for (let start = 0; start < Math.min(count, data.size); start += BATCH) {
      signal?.throwIfAborted()
      const size = Math.min(BATCH, Math.min(count, data.size) - start)
      const { inputs } = await data.batch(Array.from({ length: size }, (_, i) => start + i))
      const feeds = { [input.name]: createTensor('float32', input.shape(size), inputs.data) }
      const [wanted, found] = [await before.run(feeds), await after.run(feeds)]
      for (const [i, tap] of taps.entries()) add(sums[i], toFloat32(wanted[tap]), toFloat32(found[tap]))
    }
  } finally {
    await before.close()
    await after.close()
  }
  return new Map(
    tapped.map(({ name }, i) => [name, Math.sqrt(sums[i].difference / Math.max(sums[i].size, Number.MIN_VALUE))]),
  )
}

function add(sum: { difference: number; size: number }, wanted: Float32Array, found: Float32Array): void {
  let [difference, size] = [0, 0]
  for (let i = 0; i < wanted.length; i++) {
    difference += (found[i] - wanted[i]) ** 2
    size += wanted[i] * wanted[i]
  }
  sum.difference += difference
  sum.size += size
}

/**
 * Bits a weight of what stands for a layer's weights: codes, and 32 bits for each scale that the method chose;
 * undefined where the weights are as they were.
 */
export function bitsOfLayer(original: Model, changed: Model, { weight }: Layer, codeBits: number): number | undefined {
  const { initializers } = changed.graph
  if (initializers.has(weight)) return undefined
  const count = (name: string) => elementCount(initializers.get(name)?.shape ?? [0])
  const factors = [`${weight}.v.codes`, `${weight}.u.codes`]
  const bits = initializers.has(factors[0])
    ? codeBits * (count(factors[0]) + count(factors[1])) + 32 * count(`${weight}.d`)
    : codeBits * count(`${weight}.codes`) + 32 * count(`${weight}.scale`)
  return bits / elementCount(original.graph.initializers.get(weight)!.shape)
}
