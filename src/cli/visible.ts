/**
 * C0 and C1 controls, and what changes direction, joins or is not seen at all: marks, embeddings, overrides and isolates
 * of direction, blanks without width, line and paragraph separators.
 */
const hidden = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu

const shorthands: Readonly<Record<string, string>> = {
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
}

/**
 * Text that comes from a file, safe to print: characters that would steer the terminal, break the line or reorder it are
 * written as escapes, such as `\x1b`.
 */
export function visible(text: string): string {
  return text.replaceAll(hidden, (character) => {
    const code = character.codePointAt(0)!.toString(16)
    return shorthands[character] ?? (code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u${code.padStart(4, '0')}`)
  })
}

/** The text with an ellipsis in the place of its middle where it has more than `most` characters. */
export function shortened(text: string, most: number): string {
  const characters = [...text]
  if (characters.length <= most) return text
  const head = Math.ceil((most - 1) / 2)
  return `${characters.slice(0, head).join('')}…${characters.slice(characters.length - (most - 1 - head)).join('')}`
}
