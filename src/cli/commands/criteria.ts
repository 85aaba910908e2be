import { join } from 'node:path'
import { onnxruntime } from '../../engines/onnxruntime.ts'
import { methods } from '../../methods/index.ts'
import { runCriteria } from '../../papers/criteria/bench.ts'
import { benchNetworks } from '../../papers/criteria/networks.ts'
import { defineCommand } from '../command.ts'
import { formatTable, left, right } from '../table.ts'

interface Options {
  readonly data: string
  readonly docs: string
  readonly cache: string
  readonly pageOnly?: boolean
}

/** Compares the methods that remove filters with the oracle, with each other and with chance. */
export const criteria = defineCommand<Options>({
  name: 'criteria',
  summary: 'Compares all criteria by which filters are removed, with an oracle and with chance, and writes the table.',
  examples: [['espalier criteria', 'measures what has no result yet, and writes docs/criteria.md']],
  configure(command) {
    command
      .option('--data <folder>', 'the folder with data sets and pretrained models', '../shared/data')
      .option('--docs <folder>', 'the folder of criteria.md and of the results', 'docs')
      .option('--cache <folder>', 'where trained and pruned networks are kept', join('.cache', 'criteria'))
      .option('--page-only', 'write the page from the results that are there')
  },
  async execute(_, options, { signal, progress }) {
    const results = await runCriteria({
      ...options,
      networks: benchNetworks,
      criteria: [...methods.values()].filter(({ removes }) => removes === 'filters'),
      engine: onnxruntime,
      progress: progress.listener,
      signal,
      note: progress.note,
    })
    const page = join(options.docs, 'criteria.md')
    const rows = [...results.values()].map(({ network, entries }) => [network, String(entries.length)])
    return {
      data: { page, results: [...results.values()] },
      text: `${formatTable([left('network'), right('results')], rows)}\nwrote ${page}\n`,
    }
  },
})
