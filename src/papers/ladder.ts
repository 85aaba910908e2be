/** The ladder of Deep Compression on MNIST: what the rows of LeNet-300-100 and LeNet-5 have in common. */
import { writePack } from '../formats/pack/write.ts'
import type { Model } from '../ir/model.ts'
import { deepCompression } from '../paper.ts'
import { evaluate } from '../training/evaluate.ts'
import { applyRecipe } from './apply-recipe.ts'
import { mnistData, trainOnMnist, type MnistRow } from './mnist.ts'
import { definePaperRow, type Figure, type PaperRow } from './row.ts'

/** The recipe prunes, shares and codes by Huffman. */
export interface Ladder extends MnistRow {
  /** Bytes of the parameters in single precision, biases included: the denominator of every ratio. */
  readonly bytes: number
  readonly published: {
    readonly pruned: number
    readonly shared: number
    readonly coded: number
    readonly errorBefore: number
    readonly errorAfter: number
  }
  readonly errorAtMost: number
  /** What else differs from the paper, in full sentences. */
  readonly remark?: string
}

/**
 * Trains the dense network, runs the recipe and measures each rung. `published.pruned` is a ratio of weights in the
 * paper; ours is given both ways, of weights and of the bytes of a pack with 32-bit survivors.
 */
export function defineLadder(ladder: Ladder): PaperRow {
  const { published } = ladder
  const figures: Figure[] = [
    { name: 'error before', unit: '%', published: published.errorBefore },
    { name: 'error after', unit: '%', published: published.errorAfter, atMost: ladder.errorAtMost, headline: true },
    {
      name: 'pruned, weights',
      unit: 'x',
      published: published.pruned,
      atLeast: published.pruned,
      digits: 1,
      headline: true,
    },
    { name: 'pruned, bytes of the pack', unit: 'x', atLeast: published.pruned, digits: 1 },
    {
      name: 'and shared, bytes with fixed-length codes and gaps',
      unit: 'x',
      published: published.shared,
      atLeast: published.shared,
      digits: 1,
      headline: true,
    },
    {
      name: 'and Huffman-coded, bytes',
      unit: 'x',
      published: published.coded,
      atLeast: published.coded,
      digits: 1,
      headline: true,
    },
    { name: "the same with the pack's own coder, bytes", unit: 'x', atLeast: published.coded, digits: 1 },
    { name: 'storage with indices, by arithmetic', unit: 'x', digits: 1 },
  ]
  return definePaperRow({
    name: ladder.name,
    summary: 'Trains, prunes with retraining, shares weights with retraining of the centroids, and codes with Huffman.',
    network: ladder.network,
    data: mnistData,
    method: 'magnitude, k-means, huffman',
    paper: deepCompression,
    needs: ['mnist'],
    figures,
    seeds: [1, 2, 3],
    minutes: ladder.minutes,
    difference:
      'The paper counts the weights that are left in its first rung and trains with SGD at fixed rates; we also count bytes of real files, graph and codebooks included, prune gradually and lower the rate along a cosine.' +
      (ladder.remark ? ` ${ladder.remark}` : ''),
    async run(environment) {
      const { seed, engine, signal } = environment
      const { data, dense } = await trainOnMnist(ladder.build({ seed }), ladder.dense, environment)
      const { model, report } = await applyRecipe(dense, ladder, data, environment)
      const error = async (measured: Model) => 100 * (await evaluate(measured, data.test, engine, { signal })).error
      const ratio = (coding?: string) => ladder.bytes / writePack(uncoded(model), { coding }).length
      const [pruned, shared] = report.stages
      return {
        'error before': await error(dense),
        'error after': await error(model),
        'pruned, weights': pruned.size.ratios.weights,
        'pruned, bytes of the pack': ladder.bytes / pruned.size.packBytes,
        'and shared, bytes with fixed-length codes and gaps': ratio('relative'),
        'and Huffman-coded, bytes': ratio('huffman'),
        "the same with the pack's own coder, bytes": ratio(),
        'storage with indices, by arithmetic': shared.size.ratios.storage,
      }
    },
  })
}

/** The model without a word on how it is to be coded. */
function uncoded(model: Model): Model {
  const metadata = new Map(model.metadata)
  metadata.delete('espalier.coding')
  return { ...model, metadata }
}
