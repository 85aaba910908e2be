import type { Method } from '../../methods/method.ts'
import { spread } from '../results.ts'
import { macsShares, type BenchNetwork } from './networks.ts'
import type { CriteriaResults, CriterionEntry } from './results.ts'

/** The page docs/criteria.md: every number in it comes from a results file. */
export function criteriaPage(
  networks: readonly BenchNetwork[],
  criteria: readonly Method[],
  results: ReadonlyMap<string, CriteriaResults>,
): string {
  return [
    '# Criteria for removing filters, compared',
    '',
    'Written by `npm run criteria` from `docs/criteria/*.json`; do not edit. All methods that remove filters are compared, `random-filters` as the control that each has to beat. Figures are means over the seeds with the sample standard deviation.',
    '',
    '- **Correlation with the oracle**: Spearman\'s rank correlation of the scores with what the loss really changes by, in absolute value, when one channel alone is switched off (Molchanov et al. 2017, section 2.1). "All" ranks all channels together, each layer\'s scores divided by their L2 norm as in the paper; "layers" is the mean of the correlations within each layer. By that division the oracle itself falls below 1, and chance rises above 0, because it ranks the channels of wide layers low, and so does the oracle. Methods that choose channels without scoring each have none.',
    `- **Accuracy** on the test data after ${macsShares.map((share) => `${100 * share} %`).join(' and ')} of the multiply-accumulates are removed: of every layer the same share, in one step, so that criteria differ only in which channels they choose. "Cut" is before any retraining, "retrained" after a short one. Methods that refit what is left by least squares, as their papers have it, do so in "cut" too.`,
    '- Settings are the defaults of each method. They were fixed before anything was measured, in `src/papers/criteria/networks.ts`, and no test data took part in any choice.',
    '',
    ...networks.flatMap((network) => section(network, criteria, results.get(network.name))),
  ].join('\n')
}

function section(network: BenchNetwork, criteria: readonly Method[], results: CriteriaResults | undefined): string[] {
  const original = results?.original.map(({ accuracy }) => accuracy) ?? []
  const rows = criteria.map(({ name }) => {
    const entries = results?.entries.filter((entry) => entry.criterion === name) ?? []
    return { name, entries, worth: mean(entries.map(({ spearman }) => spearman?.all)) ?? Number.NEGATIVE_INFINITY }
  })
  const usable = rows.filter(({ entries }) => entries.some(({ pruned }) => pruned.length > 0))
  const unusable = rows.filter(({ entries }) => entries.some(({ reason }) => reason !== undefined))
  const missing = rows.filter(({ entries }) => entries.length === 0)
  usable.sort((a, b) => b.worth - a.worth)
  const shares = macsShares.flatMap((share) => [`-${100 * share} % macs, cut`, 'retrained'])
  return [
    `## ${network.name}`,
    '',
    `${network.about} Test accuracy before pruning: ${cell(original, 100, 2)} %. Seeds: ${network.seeds.length}.`,
    '',
    `| criterion | all | layers | ${shares.join(' | ')} |`,
    `|---|${'--:|'.repeat(2 + shares.length)}`,
    ...usable.map(({ name, entries }) => {
      const correlation = (key: 'all' | 'layers') =>
        cell(
          entries.map(({ spearman }) => spearman?.[key]),
          1,
          2,
        )
      const accuracies = macsShares.flatMap((share) => {
        const pruned = entries.flatMap((entry) => entry.pruned.filter(({ macs }) => macs === share))
        return [pruned.map(({ accuracy }) => accuracy), pruned.map(({ retrained }) => retrained)]
      })
      const cells = [correlation('all'), correlation('layers'), ...accuracies.map((values) => cell(values, 100, 1))]
      return `| ${name} | ${cells.join(' | ')} |`
    }),
    '',
    ...unusable.map(({ name, entries }) => `- ${name} does not fit: ${reasonOf(entries)}.`),
    ...(missing.length > 0 ? [`- Not measured yet: ${missing.map(({ name }) => name).join(', ')}.`] : []),
    ...(unusable.length + missing.length > 0 ? [''] : []),
  ]
}

const reasonOf = (entries: readonly CriterionEntry[]) => entries.find(({ reason }) => reason !== undefined)!.reason

function mean(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length > 0 ? spread(known).mean : undefined
}

/** The mean and, of several, the deviation, both times a factor. */
function cell(values: readonly (number | undefined)[], factor: number, digits: number): string {
  const known = values.filter((value) => value !== undefined).map((value) => value * factor)
  if (known.length === 0) return '–'
  const { mean: middle, deviation } = spread(known)
  return deviation === undefined ? middle.toFixed(digits) : `${middle.toFixed(digits)} ± ${deviation.toFixed(digits)}`
}
