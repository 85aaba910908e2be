/** Comma-separated values as RFC 4180 has them: quotes, doubled quotes, line breaks within quotes. */
import { DataError } from '../errors.ts'

/** One line of a table, by the names of its header, and where it begins. */
export interface CsvRow {
  readonly line: number
  readonly fields: Readonly<Record<string, string>>
}

/**
 * Reads a table whose first line names the columns. Empty lines are passed over.
 * @throws DataError that names the line when it has not as many fields as the header or a quote is left open.
 */
export function readCsv(text: string, place: string): readonly CsvRow[] {
  const rows: CsvRow[] = []
  let header: readonly string[] | undefined
  for (const { line, fields } of records(text.replace(/^\uFEFF/, ''), place)) {
    if (fields.length === 1 && fields[0] === '') continue
    if (!header) {
      header = fields.map((field) => field.trim())
      continue
    }
    if (fields.length !== header.length)
      throw new DataError('csv-fields', `line ${line} has ${fields.length} fields for ${header.length} columns`, {
        place: `${place}:${line}`,
        hint: 'Put fields that contain a comma in quotes.',
      })
    const names = header
    rows.push({ line, fields: Object.fromEntries(fields.map((field, column) => [names[column], field])) })
  }
  return rows
}

function* records(text: string, place: string): Generator<{ line: number; fields: string[] }> {
  const pattern = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n|\n|\r|$)/y
  let fields: string[] = []
  let line = 1
  let start = 1
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex
    const match = pattern.exec(text)
    if (!match)
      throw new DataError('csv-quote', `line ${line} has a quote that is out of place or never closed`, {
        place: `${place}:${line}`,
        hint: 'Double a quote that belongs to the text.',
      })
    const [, field, end] = match
    fields.push(field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field)
    line += text.slice(at, pattern.lastIndex).split(/\r\n|\n|\r/).length - 1
    if (end === ',' && pattern.lastIndex < text.length) continue
    if (end === ',') fields.push('')
    yield { line: start, fields }
    fields = []
    start = line
  }
}
