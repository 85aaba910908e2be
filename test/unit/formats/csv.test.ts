import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readCsv } from '../../../src/formats/csv.ts'

const quote = (text: string) => `"${text.replaceAll('"', '""')}"`

describe('readCsv', () => {
  it('reads what was quoted, whatever it holds, with either line ending', () => {
    const field = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', 'é'), maxLength: 8 })
    fc.assert(
      fc.property(fc.array(fc.tuple(field, field)), fc.constantFrom('\n', '\r\n'), fc.boolean(), (rows, end, last) => {
        const lines = ['x,y', ...rows.map((row) => row.map(quote).join(','))]
        const read = readCsv(lines.join(end) + (last ? end : ''), 'table')
        expect(read.map(({ fields }) => [fields['x'], fields['y']])).toEqual(rows)
      }),
    )
  })

  it('passes over empty lines and a byte order mark, and knows its lines', () => {
    expect(readCsv('\uFEFFa,b\n\n1,\n\n,2\n', 't')).toEqual([
      { line: 3, fields: { a: '1', b: '' } },
      { line: 5, fields: { a: '', b: '2' } },
    ])
  })

  it('names the line of what is wrong', () => {
    expect(() => readCsv('a,b\n1,2\n3', 't')).toThrow(/line 3 has 1 fields for 2/)
    expect(() => readCsv('a,b\n1,2\n"3,4', 't')).toThrow(/line 3 has a quote/)
    expect(() => readCsv('a,b\nx"y,2', 't')).toThrow(/line 2 has a quote/)
  })
})
