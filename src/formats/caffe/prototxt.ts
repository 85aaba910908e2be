/** The text form of protocol buffers, as far as Caffe's `.prototxt` files use it. */
import { DataError } from '../../errors.ts'

/** Larger than any network description, and small enough to be read whole. */
const MOST_CHARACTERS = 2 ** 24
/** Caffe's messages nest four deep. */
const DEEPEST = 32

interface ProtoField {
  readonly name: string
  readonly place: string
  /** A message, or the text of a number, word or string; strings have lost their quotes. */
  readonly value: readonly ProtoField[] | string
}

/**
 * Reads the fields of one message by name. What is asked for is remembered, so that a caller can tell which fields nobody
 * understood. Every method throws a DataError, with file and line, where a field is not of the kind asked for.
 */
export interface ProtoReader {
  /** File and line. */
  readonly place: string
  text(name: string): string | undefined
  texts(name: string): readonly string[]
  /** A whole number from `least`, at most 2^24. */
  integer(name: string, least?: number): number | undefined
  integers(name: string, least?: number): readonly number[]
  number(name: string): number | undefined
  numbers(name: string): readonly number[]
  flag(name: string): boolean | undefined
  message(name: string): ProtoReader | undefined
  messages(name: string): readonly ProtoReader[]
  /** The first field that nobody asked for and that is not among `known`. */
  unread(known: ReadonlySet<string>): { readonly name: string; readonly place: string } | undefined
}

/**
 * Parses a message in text form.
 * @param place the file's name, for messages.
 * @throws DataError, with the line, when it is not such a text.
 */
export function parsePrototxt(text: string, place: string): ProtoReader {
  if (text.length > MOST_CHARACTERS)
    throw damaged(`it has ${text.length} characters; at most ${MOST_CHARACTERS} are read`, place)
  const tokens = createTokens(text, place)
  return createReader(parseFields(tokens, undefined, 0), `${place}:1`)
}

/** A reader of no fields, for a message that is not there. */
export function emptyMessage(place: string): ProtoReader {
  return createReader([], place)
}

interface Token {
  readonly kind: 'word' | 'string' | 'mark' | 'end'
  readonly text: string
  readonly place: string
}

interface Tokens {
  readonly next: Token
  take(): Token
}

const blank = /\s+|#[^\n]*/y
const string = /"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'/y
const word = /[-+]?[A-Za-z0-9_.]+(?:(?<=[0-9.][eE])[-+][0-9]+f?)?/y
const mark = /[{}<>:;,[\]]/y

function createTokens(text: string, place: string): Tokens {
  let position = 0
  let line = 1
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = position
    const found = pattern.exec(text)?.[0]
    if (found) position += found.length
    return found || undefined
  }
  const read = (): Token => {
    for (let skipped = match(blank); skipped; skipped = match(blank)) line += skipped.split('\n').length - 1
    const here = `${place}:${line}`
    if (position === text.length) return { kind: 'end', text: 'the end of the file', place: here }
    const marked = match(mark)
    if (marked) return { kind: 'mark', text: marked, place: here }
    const worded = match(word)
    if (worded) return { kind: 'word', text: worded, place: here }
    const quoted = match(string)
    if (quoted) return { kind: 'string', text: unescaped(quoted.slice(1, -1), here), place: here }
    throw damaged(
      /["']/.test(text[position]) ? 'a string is not closed' : `the character '${text[position]}' is out of place`,
      here,
    )
  }
  let next = read()
  return {
    get next() {
      return next
    },
    take() {
      const taken = next
      next = read()
      return taken
    },
  }
}

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '?': '?',
}

function unescaped(text: string, place: string): string {
  return text.replaceAll(/\\([^])/g, (all, letter: string) => {
    const character = escapes[letter]
    if (character === undefined) throw damaged(`the escape ${all} in a string is not read`, place)
    return character
  })
}

function parseFields(tokens: Tokens, close: string | undefined, depth: number): ProtoField[] {
  if (depth > DEEPEST) throw damaged(`messages nest deeper than ${DEEPEST}`, tokens.next.place)
  const fields: ProtoField[] = []
  for (;;) {
    const { kind, text: name, place } = tokens.take()
    if (kind === 'end' && close !== undefined) throw damaged('it ends within a message', place)
    if (kind === 'end' || (kind === 'mark' && name === close)) return fields
    if (kind !== 'word' || !/^[A-Za-z_]\w*$/.test(name)) throw damaged(`a field's name is wanted, not '${name}'`, place)
    const colon = tokens.next.text === ':' && tokens.next.kind === 'mark'
    if (colon) tokens.take()
    if (tokens.next.kind === 'mark' && tokens.next.text === '[') fields.push(...parseList(tokens, name, place, depth))
    else fields.push({ name, place, value: parseValue(tokens, colon, depth) })
    if (tokens.next.kind === 'mark' && /[,;]/.test(tokens.next.text)) tokens.take()
  }
}

function parseList(tokens: Tokens, name: string, place: string, depth: number): ProtoField[] {
  tokens.take()
  const fields: ProtoField[] = []
  const closed = () => tokens.next.kind === 'mark' && tokens.next.text === ']'
  while (!closed()) {
    fields.push({ name, place, value: parseValue(tokens, true, depth) })
    if (closed()) break
    const { kind, text, place: here } = tokens.take()
    if (kind !== 'mark' || text !== ',') throw damaged(`a comma or ] is wanted, not '${text}'`, here)
  }
  tokens.take()
  return fields
}

function parseValue(tokens: Tokens, colon: boolean, depth: number): ProtoField['value'] {
  const { kind, text, place } = tokens.take()
  if (kind === 'mark' && (text === '{' || text === '<')) return parseFields(tokens, text === '{' ? '}' : '>', depth + 1)
  if (!colon || kind === 'mark' || kind === 'end') throw damaged(`a value is wanted, not '${text}'`, place)
  let value = text
  if (kind === 'string') while (tokens.next.kind === 'string') value += tokens.take().text
  return value
}

function createReader(fields: readonly ProtoField[], place: string): ProtoReader {
  const byName = new Map<string, ProtoField[]>()
  for (const field of fields) {
    const known = byName.get(field.name)
    if (known) known.push(field)
    else byName.set(field.name, [field])
  }
  const asked = new Set<string>()
  const all = (name: string) => {
    asked.add(name)
    return byName.get(name) ?? []
  }
  const one = <T>(name: string, read: (field: ProtoField) => T): T | undefined => {
    const found = all(name)
    if (found.length > 1) throw damaged(`'${name}' is given more than once`, found[1].place)
    return found.length === 1 ? read(found[0]) : undefined
  }
  const message = ({ name, value, place: here }: ProtoField) => {
    if (typeof value === 'string') throw damaged(`'${name}' must be a message in braces`, here)
    return createReader(value, here)
  }
  return {
    place,
    text: (name) => one(name, asText),
    texts: (name) => all(name).map(asText),
    integer: (name, least = 0) => one(name, (field) => asInteger(field, least)),
    integers: (name, least = 0) => all(name).map((field) => asInteger(field, least)),
    number: (name) => one(name, asNumber),
    numbers: (name) => all(name).map(asNumber),
    flag: (name) => one(name, asFlag),
    message: (name) => one(name, message),
    messages: (name) => all(name).map(message),
    unread: (known) => fields.find(({ name }) => !asked.has(name) && !known.has(name)),
  }
}

/** Sizes of real networks lie far below; products of a few of them are still exact. */
const LARGEST_INTEGER = 2 ** 24

function asText({ name, value, place }: ProtoField): string {
  if (typeof value !== 'string') throw damaged(`'${name}' must not be a message`, place)
  return value
}

function asInteger(field: ProtoField, least: number): number {
  const text = asText(field)
  const value = /^[-+]?(?:0[xX][0-9a-fA-F]{1,8}|0|[1-9]\d{0,11})$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= LARGEST_INTEGER) return value
  throw damaged(
    `'${field.name}' must be a whole number from ${least} to ${LARGEST_INTEGER}, not '${text}'`,
    field.place,
  )
}

function asNumber(field: ProtoField): number {
  const text = asText(field)
  const value = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?f?$/.test(text) ? Number(text.replace(/f$/, '')) : Number.NaN
  if (Number.isFinite(value)) return value
  throw damaged(`'${field.name}' must be a finite number, not '${text}'`, field.place)
}

function asFlag(field: ProtoField): boolean {
  const text = asText(field)
  if (/^(?:true|True|t|1)$/.test(text)) return true
  if (/^(?:false|False|f|0)$/.test(text)) return false
  throw damaged(`'${field.name}' must be true or false, not '${text}'`, field.place)
}

function damaged(problem: string, place: string): DataError {
  return new DataError('prototxt', problem, { place, hint: 'Give the deploy.prototxt of a Caffe network as it is.' })
}
