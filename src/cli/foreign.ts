/** Models in other programs' formats, on the command line. */
import { Option, type Command } from 'commander'
import { UsageError } from '../errors.ts'
import { foreignFormats } from '../formats/index.ts'
import type { Companion, ForeignFormat } from '../formats/foreign.ts'
import type { CommandContext } from './command.ts'
import { inFile, loadModel, readBytes, type LoadedModel } from './files.ts'

/** `--from` and what goes with it, by commander's names. */
export interface SourceOptions {
  readonly from?: string
  readonly [companion: string]: unknown
}

const readable = [...foreignFormats.values()].filter(({ read }) => read)
const companions = new Map(readable.flatMap((format) => (format.companions ?? []).map((item) => [item.name, item])))

/** Adds `--from`, and an option for each further file that a format needs. */
export function addSourceOptions(command: Command): void {
  command.addOption(
    new Option('--from <format>', 'the format of the file where it is neither ONNX nor a pack').choices(
      readable.map(({ name }) => name),
    ),
  )
  for (const { name, summary } of companions.values())
    command.option(`--${name} <file>`, `with --from ${formatsWith(name).join(' or ')}: ${summary}`)
}

/** All files that are read, which no result may replace. */
export function sourceFiles(path: string, options: SourceOptions): string[] {
  return [path, ...[...companions.keys()].map((name) => options[name]).filter((file) => typeof file === 'string')]
}

/**
 * As `loadModel`, but in the format that `--from` names. What a user should know is noted.
 * @throws UsageError when a file that the format needs was not given, and whatever the format's reader throws.
 */
export async function loadSource(
  path: string,
  options: SourceOptions,
  { progress }: CommandContext,
): Promise<LoadedModel> {
  const format = options.from === undefined ? undefined : foreignFormats.get(options.from)
  for (const name of companions.keys())
    if (options[name] !== undefined && !format?.companions?.some((companion) => companion.name === name))
      throw new UsageError('option', `--${name} is of no use here`, {
        place: `--${name}`,
        hint: `Say what the file is with --from ${formatsWith(name).join(' or ')}.`,
      })
  if (!format) return loadModel(path, progress.listener)
  const needed = await Promise.all((format.companions ?? []).map((item) => readCompanion(format, item, options)))
  const bytes = await readBytes(path)
  const { model, notes } = inFile(path, () =>
    format.read!({ bytes, place: path }, Object.fromEntries(needed), progress.listener),
  )
  for (const note of notes) progress.note(note)
  return { model, path, fileBytes: bytes.length }
}

async function readCompanion({ name: format }: ForeignFormat, { name, summary }: Companion, options: SourceOptions) {
  const place = options[name]
  if (typeof place !== 'string')
    throw new UsageError('option', `${format} also needs the ${summary}`, {
      place: '--from',
      hint: `Give it with --${name}.`,
    })
  return [name, { bytes: await readBytes(place), place }] as const
}

function formatsWith(companion: string): string[] {
  return readable.filter((format) => format.companions?.some(({ name }) => name === companion)).map(({ name }) => name)
}
