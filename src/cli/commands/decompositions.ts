import { join } from 'node:path'
import { onnxruntime } from '../../engines/onnxruntime.ts'
import { runDecompositions } from '../../papers/decompositions/bench.ts'
import { decomposedNetwork } from '../../papers/decompositions/networks.ts'
import { variants } from '../../papers/decompositions/variants.ts'
import { defineCommand } from '../command.ts'

interface Options {
  readonly data: string
  readonly docs: string
  readonly pageOnly?: boolean
}

/** Measures what decompositions of layers cost before any training, and draws it. */
export const decompositions = defineCommand<Options>({
  name: 'decompositions',
  summary:
    'Measures errors of outputs and accuracy of decomposed layers against bits, before training, and draws them.',
  examples: [['espalier decompositions', 'measures what has no result yet, and writes docs/decompositions.md']],
  configure(command) {
    command
      .option('--data <folder>', 'the folder with data sets and pretrained models', '../shared/data')
      .option('--docs <folder>', 'the folder of decompositions.md and of the results', 'docs')
      .option('--page-only', 'write the page from the results that are there')
  },
  async execute(_, options, { signal, progress }) {
    const results = await runDecompositions({
      ...options,
      network: decomposedNetwork,
      variants,
      engine: onnxruntime,
      progress: progress.listener,
      signal,
      note: progress.note,
    })
    const page = join(options.docs, 'decompositions.md')
    return {
      data: results ? { page, results } : {},
      text: results ? `${results.entries.length} results\nwrote ${page}\n` : 'nothing measured\n',
    }
  },
})
