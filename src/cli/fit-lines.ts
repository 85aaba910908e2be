/** How far into a line its last column may begin for the lines below to begin there, as a share of the width. */
const farthestIndent = 2 / 3

/**
 * Breaks lines of more than `columns` characters between words. What goes on below stands under the last column that
 * begins early enough, or under the text of a list item; a rule under titles is cut off. Longer words are left whole.
 */
export function fitLines(text: string, columns: number): string {
  return text
    .split('\n')
    .flatMap((line) => ([...line].length <= columns ? [line] : broken([...line], columns)))
    .join('\n')
}

function broken(line: readonly string[], columns: number): string[] {
  const text = line.join('')
  if (/^[- ]+$/.test(text)) return [text.slice(0, columns)]
  const indent = indentOf(text, columns * farthestIndent)
  const lines: string[] = []
  let rest = [...line]
  while (rest.length > columns) {
    const within = rest.lastIndexOf(' ', columns)
    const cut = within > indent ? within : rest.indexOf(' ', columns)
    if (cut < 0) break
    lines.push(rest.slice(0, cut).join('').trimEnd())
    rest = [...' '.repeat(indent), ...rest.slice(cut).join('').trimStart()]
  }
  return [...lines, rest.join('')]
}

/** Where the last column begins that does not begin behind `most`; columns are two blanks apart, items follow a dash. */
function indentOf(text: string, most: number): number {
  const starts = [...text.matchAll(/(?:^ *- | {2}(?!- ))(?=\S)/g)].map(({ index, 0: gap }) => index + gap.length)
  return starts.findLast((start) => start <= most) ?? 0
}
