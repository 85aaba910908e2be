import { shortened, visible } from './visible.ts'

/** A column of a table: its title, and on which side its cells are aligned. */
export interface Column {
  readonly title: string
  /** Numbers stand right. Default 'left'. */
  readonly align?: 'left' | 'right'
  /** The most characters of a cell; of longer ones the middle is left out. */
  readonly most?: number
}

/** Shorthands for columns. */
export const left = (title: string): Column => ({ title })
export const right = (title: string): Column => ({ title, align: 'right' })
/** A column of names, which a model may have made as long as it likes. */
export const names = (title: string): Column => ({ title, most: 60 })

/**
 * Plain text in aligned columns, two blanks apart, under a line of titles; no title line where all titles are empty.
 * Every line ends with a line feed; characters in cells that would steer a terminal are shown as escapes.
 */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const titled = columns.some(({ title }) => title !== '')
  const cells = rows.map((row) =>
    columns.map(({ most = Number.POSITIVE_INFINITY }, i) => shortened(visible(row[i] ?? ''), most)),
  )
  const lines = titled ? [columns.map(({ title }) => title), ...cells] : cells
  const widths = columns.map((_, i) => Math.max(0, ...lines.map((line) => widthOf(line[i]))))
  const pad = (text: string, i: number) => {
    const blanks = ' '.repeat(widths[i] - widthOf(text))
    return columns[i].align === 'right' ? blanks + text : text + blanks
  }
  const format = (line: readonly string[]) =>
    `${columns
      .map((_, i) => pad(line[i], i))
      .join('  ')
      .trimEnd()}\n`
  const [head, ...body] = lines.map(format)
  if (!titled) return lines.map(format).join('')
  return [head, `${widths.map((width) => '-'.repeat(width)).join('  ')}\n`, ...body].join('')
}

/** Lines of a name and what it is, for the head of a report. */
export function formatFacts(facts: readonly (readonly [string, string])[]): string {
  return formatTable([left(''), left('')], facts)
}

/** The number of characters that a person counts. */
function widthOf(text: string): number {
  return [...text].length
}
