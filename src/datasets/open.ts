import { nearestName, UsageError } from '../errors.ts'
import { emptyDataset } from './byte-images.ts'
import { splitDataset, type DataSplits } from './dataset.ts'
import { datasets } from './index.ts'
import type { DatasetKind } from './kind.ts'
import { shareCount } from './preprocess.ts'

/** A specification taken apart, with its kind looked up and its options validated. */
export interface DataSpec {
  readonly kind: DatasetKind
  readonly location: string
  readonly options: Readonly<Record<string, unknown>>
}

/**
 * Takes a specification such as `images:photos?crop=227&order=bgr` apart.
 * @throws UsageError for an unknown kind or option, with the nearest right one, and for values that make no sense.
 */
export function parseDataSpec(spec: string): DataSpec {
  const question = spec.lastIndexOf('?')
  const head = question < 0 ? spec : spec.slice(0, question)
  const colon = head.indexOf(':')
  const kindName = colon < 0 ? head : head.slice(0, colon)
  const location = colon < 0 ? '' : head.slice(colon + 1)
  const kind = datasets.get(kindName)
  if (!kind) {
    const near = nearestName(kindName, datasets.keys())
    throw new UsageError('data-kind', `there is no kind of data called '${kindName}'`, {
      place: spec,
      hint: near ? `Did you mean ${near}?` : `Kinds are ${[...datasets.keys()].join(', ')}.`,
    })
  }
  if (kind.location && location === '')
    throw new UsageError('data-location', `${kind.name} needs a path`, {
      place: spec,
      hint: `Write it as ${kind.name}:${kind.location}, for example ${kind.example}.`,
    })
  if (!kind.location && location !== '')
    throw new UsageError('data-location', `${kind.name} takes no path`, {
      place: spec,
      hint: `Write it as ${kind.example}.`,
    })
  return { kind, location, options: parseOptions(kind, question < 0 ? '' : spec.slice(question + 1), spec) }
}

function parseOptions(kind: DatasetKind, query: string, place: string): Readonly<Record<string, unknown>> {
  const given: Record<string, string> = {}
  for (const part of query.split('&').filter((part) => part !== '')) {
    const equals = part.indexOf('=')
    const key = equals < 0 ? part : part.slice(0, equals)
    const keys = Object.keys(kind.options.shape)
    if (!keys.includes(key)) {
      const near = nearestName(key, keys)
      throw new UsageError('data-option', `${kind.name} has no option '${key}'`, {
        place,
        hint: near ? `Did you mean ${near}?` : `Options are ${keys.join(', ')}.`,
      })
    }
    if (key in given) throw new UsageError('data-option', `option ${key} is given twice`, { place, hint: 'Drop one.' })
    given[key] = equals < 0 ? 'true' : part.slice(equals + 1)
  }
  const result = kind.options.safeParse(given)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new UsageError('data-option', `option ${issue.path.join('.')}: ${issue.message}`, {
    place,
    hint: kind.options.shape[String(issue.path[0])] ? `For example ${kind.example}.` : undefined,
  })
}

/** The specification with options that it does not give itself. @throws UsageError as `parseDataSpec` does. */
export function withDataOptions(spec: string, options: Readonly<Record<string, string>>): string {
  const question = spec.lastIndexOf('?')
  const given = question < 0 ? '' : spec.slice(question + 1)
  const names = new Set(given.split('&').map((part) => part.split('=')[0]))
  const more = Object.entries(options).filter(([name]) => !names.has(name))
  const all = [given, ...more.map(([name, value]) => `${name}=${value}`)].filter((part) => part !== '')
  const result = `${question < 0 ? spec : spec.slice(0, question)}${all.length > 0 ? `?${all.join('&')}` : ''}`
  parseDataSpec(result)
  return result
}

/**
 * Opens the data that a specification names, split into train, validation and test. Validation is a part of train that
 * is chosen by `seed` (default 0): keep it equal between training and compressing, so that no choice is made on
 * examples that the weights have seen.
 * @throws UsageError for a specification that cannot be, DataError for files that are not what they should be.
 */
export async function openData(spec: string, options: { seed?: number } = {}): Promise<DataSplits> {
  const { kind, location, options: values } = parseDataSpec(spec)
  const source = await kind.open(location, values, spec)
  if (source.validation) return { train: source.train, validation: source.validation, test: source.test }
  const { size } = source.train
  if (size === 0) return { train: source.train, validation: emptyDataset(source.train), test: source.test }
  const share = values.validation as number | undefined
  const held = share === undefined ? Math.min(5000, Math.round(size / 10)) : shareCount(share, size)
  const [train, validation] = splitDataset(source.train, held, options.seed ?? 0)
  return { train, validation, test: source.test }
}
