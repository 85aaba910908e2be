import type { Command } from 'commander'
import type { Dataset, DataSplits } from '../datasets/dataset.ts'
import { datasets } from '../datasets/index.ts'
import { openData } from '../datasets/open.ts'
import { UsageError } from '../errors.ts'

export const splitNames = ['test', 'validation', 'train'] as const
export type SplitName = (typeof splitNames)[number]

/** The forms of data specifications, for help texts. */
function dataHelp(): string {
  const kinds = [...datasets.values()]
  const forms = kinds.map(({ name, location }) => (location ? `${name}:${location}` : name))
  const example = kinds.map(({ example }) => example).find((text) => text.includes('?'))
  return `${forms.join(', ')}; options behind ?, as in ${example}; see: espalier catalog data`
}

/** Adds `--data`. */
export function addDataOption(command: Command, purpose: string, required = false): void {
  const text = `${purpose}: ${dataHelp()}`
  if (required) command.requiredOption('-d, --data <spec>', text)
  else command.option('-d, --data <spec>', text)
}

/** Opens data, with the fixed seed of the command line, so that all commands split it alike. */
export async function openSplits(spec: string): Promise<DataSplits> {
  return openData(spec)
}

/** One part of the data. @throws UsageError when it has no examples. */
export async function openSplit(spec: string, split: SplitName): Promise<Dataset> {
  const data = (await openSplits(spec))[split]
  if (data.size > 0) return data
  throw new UsageError('data-split', `this data has no ${split} part`, {
    place: spec,
    hint:
      split === 'test'
        ? 'Choose another part with --split.'
        : 'Keep some examples out of the test part, as with ?test=0.2.',
  })
}
