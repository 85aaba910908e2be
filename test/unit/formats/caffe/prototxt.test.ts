import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DataError } from '../../../../src/errors.ts'
import { parsePrototxt } from '../../../../src/formats/caffe/prototxt.ts'

const parse = (text: string) => parsePrototxt(text, 'a.prototxt')

describe('the text form of protocol buffers', () => {
  it('has fields, messages, lists, comments and strings in all their forms', () => {
    const net = parse(`# a comment
      name: "a" 'b\\'c' # joined
      dim: [1, 0x10, 3]; dim: 4,
      empty: []
      one { flag: true } two: { flag: false } three < number: -1.5e-3f >
    `)
    expect(net.text('name')).toBe("ab'c")
    expect(net.integers('dim')).toEqual([1, 16, 3, 4])
    expect(net.integers('empty')).toEqual([])
    expect([net.message('one')!.flag('flag'), net.message('two')!.flag('flag')]).toEqual([true, false])
    expect(net.message('three')!.number('number')).toBe(-1.5e-3)
    expect([net.text('none'), net.message('none'), net.flag('none')]).toEqual([undefined, undefined, undefined])
  })

  it('remembers what nobody asked for', () => {
    const net = parse('a: 1\nb: 2\nc: 3')
    net.integer('a')
    expect(net.unread(new Set(['b']))).toMatchObject({ name: 'c', place: 'a.prototxt:3' })
  })

  it.each([
    ['a: "x\n', /a string is not closed/, 1],
    ['\n\na {', /ends within a message/, 3],
    ['a: 1 }', /a field's name is wanted, not '}'/, 1],
    ['a', /a value is wanted, not 'the end of the file'/, 1],
    ['a 1', /a value is wanted/, 1],
    ['a: [1 2]', /a comma or ] is wanted, not '2'/, 1],
    ['a: [1', /a comma or ] is wanted/, 1],
    ['a {\n>', /not '>'/, 2],
    ['a: 1\n\u0000', /out of place/, 2],
    ['a: "\\x"', /escape/, 1],
    ['m {'.repeat(100_000), /nest deeper than 32/, 1],
  ])('%# is refused with its line', (text, message, line) => {
    expect(() => parse(text)).toThrowError(message)
    expect(() => parse(text)).toThrowError(expect.objectContaining({ place: `a.prototxt:${line}` }))
  })

  it.each([
    ['x: -1', (net: ReturnType<typeof parse>) => net.integer('x')],
    ['x: 1e3', (net: ReturnType<typeof parse>) => net.integer('x')],
    ['x: 16777217', (net: ReturnType<typeof parse>) => net.integer('x')],
    ['x: inf', (net: ReturnType<typeof parse>) => net.number('x')],
    ['x: 2', (net: ReturnType<typeof parse>) => net.flag('x')],
    ['x: 1 x: 2', (net: ReturnType<typeof parse>) => net.integer('x')],
    ['x {}', (net: ReturnType<typeof parse>) => net.text('x')],
    ['x: 1', (net: ReturnType<typeof parse>) => net.message('x')],
  ])('%s is no value of the wanted kind', (text, read) => {
    expect(() => read(parse(text))).toThrowError(DataError)
  })

  it('is read in time and without deep recursion, however long its parts', () => {
    const long = 2 ** 21
    expect(parse(`name: "${'a'.repeat(long)}" ${' '.repeat(long)}#${'b'.repeat(long)}`).text('name')).toHaveLength(long)
    expect(() => parse('a'.repeat(2 ** 24 + 1))).toThrowError(/16777217 characters/)
  })

  it('never fails in another way', () => {
    const piece = fc.constantFrom(
      'a',
      ':',
      '{',
      '}',
      '<',
      '>',
      '[',
      ']',
      ',',
      '"',
      "'",
      '\\',
      '#',
      '\n',
      ' ',
      '1',
      '-',
      '.',
      'e5',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        try {
          parse(pieces.join(''))
        } catch (error) {
          if (!(error instanceof DataError)) throw error
        }
      }),
      { numRuns: 500 },
    )
  })
})
