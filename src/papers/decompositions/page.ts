import { meanBits } from './figure.ts'
import type { DecompositionNetwork } from './bench.ts'
import type { DecompositionEntry, DecompositionResults } from './results.ts'
import { CALIBRATION_EXAMPLES, type Variant } from './variants.ts'

/** The page docs/decompositions.md: every number in it comes from the results file. */
export function decompositionPage(
  { about, examples, tests }: DecompositionNetwork,
  results: DecompositionResults,
  variants: readonly Variant[],
): string {
  const { network, accuracy, entries } = results
  const missing = variants.flatMap(({ name, bits }) =>
    bits.flatMap((each) =>
      entries.some((e) => e.variant === name && e.bits === each) ? [] : [`${name} at ${each} bits`],
    ),
  )
  return [
    '# Decompositions before fine-tuning',
    '',
    `Written by \`npm run decompositions\` from \`docs/decompositions/${network}.json\`; do not edit. What semi-binary decomposition and fixed-point factorization cost before any training, beside plain signs and uniform codes.`,
    '',
    `![Error of each layer's output over bits a weight](decompositions/${network}.svg)`,
    '',
    `- ${about} Accuracy as it was: ${percent(accuracy)} on the first ${tests.toLocaleString('en-US')} test images.`,
    `- **Error**: ‖ŷ − y‖ / ‖y‖ over the outputs of a convolution on the first ${examples} validation images, y in the network as it was, ŷ in the network with all convolutions changed, each on what those in front of it give. It is what the orientation by feature maps is to make small; errors add up from layer to layer, in all methods alike. Nothing is trained, no bias or batch normalization is refitted, and the last layer stays as it is.`,
    '- **Bits**: codes and scales by arithmetic, over the weights of the convolutions: 1 bit a code of semi-binary decomposition, 2 of fixed-point factorization, 32 a scale. The bytes are those of the whole pack, after entropy coding.',
    `- **Orientation**: by weights a term is fitted to what is left of the weights; by feature maps to what is left of the outputs, on ${CALIBRATION_EXAMPLES} training images. Fixed-point factorization has the first alone, as its paper does.`,
    '- Settings are the defaults of each method, fixed before anything was measured; no test data took part in any choice.',
    '',
    '| decomposition | asked bits | bits a weight | error, median layer | least | most | accuracy | pack, bytes |',
    '|---|--:|--:|--:|--:|--:|--:|--:|',
    ...entries.map((entry) => row(entry, results, variants)),
    '',
    ...(missing.length > 0 ? [`Not measured yet: ${missing.join(', ')}.`, ''] : []),
  ].join('\n')
}

function row(entry: DecompositionEntry, results: DecompositionResults, variants: readonly Variant[]): string {
  const errors = entry.layers.map(({ error }) => error).sort((a, b) => a - b)
  const middle = (errors[(errors.length - 1) >> 1] + errors[errors.length >> 1]) / 2
  const cells = [
    variants.find(({ name }) => name === entry.variant)?.label ?? entry.variant,
    String(entry.bits),
    meanBits(results, entry.layers).toFixed(2),
    ...[middle, errors[0], errors.at(-1)!].map((error) => error.toPrecision(2)),
    percent(entry.accuracy),
    entry.pack.toLocaleString('en-US'),
  ]
  return `| ${cells.join(' | ')} |`
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
