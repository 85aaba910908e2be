import { describe, expect, it } from 'vitest'
import { deepCompression } from '../../../src/paper.ts'
import { measured, papersPage, quantity, withSummary } from '../../../src/papers/page.ts'
import type { PaperRow } from '../../../src/papers/row.ts'
import { paperRows } from '../../../src/papers/rows/index.ts'

const row: PaperRow = {
  name: 'lenet',
  summary: 'Prunes a network.',
  network: 'LeNet',
  data: 'MNIST',
  method: 'magnitude',
  paper: deepCompression,
  needs: [],
  figures: [
    { name: 'error', unit: '%', published: 1.58, atMost: 1.64 },
    { name: 'ratio', unit: 'x', published: 40, atLeast: 40, digits: 1 },
    { name: 'pack', unit: 'bytes', digits: 0 },
  ],
  seeds: [1, 2],
  minutes: 1,
  difference: 'We count bytes.',
  run: async () => ({}),
}

describe('the page', () => {
  it('shows paper, ours, what is asked and the verdict', () => {
    const runs = [
      { seed: 1, seconds: 60, values: { error: 1.5, ratio: 39, pack: 1000 } },
      { seed: 2, seconds: 120, values: { error: 1.6, ratio: 40, pack: 1010 } },
    ]
    const lines = papersPage([row], new Map([['lenet', { row: 'lenet', runs }]])).split('\n')
    expect(lines).toContain('| error | 1.58 % | 1.55 % ± 0.07 | ≤ 1.64 % | met |')
    expect(lines).toContain('| ratio | 40.0x | 39.5x ± 0.7 | ≥ 40.0x | missed |')
    expect(lines).toContain('| pack | – | 1005 bytes ± 7 | – | no bound |')
    expect(lines).toContain('Seeds: 2 of 2 run, 1.5 minutes each. Command: `npm run papers -- lenet`.')
    expect(lines).toContain('We count bytes.')
  })

  it('has dashes where nothing was run, and leaves out seeds that the row no longer has', () => {
    const old = { row: 'lenet', runs: [{ seed: 9, seconds: 60, values: { error: 0.1, ratio: 99, pack: 1 } }] }
    for (const results of [new Map(), new Map([['lenet', old]])]) {
      const lines = papersPage([row], results).split('\n')
      expect(lines).toContain('| error | 1.58 % | – | ≤ 1.64 % | not run |')
      expect(lines).toContain('| pack | – | – | – | not run |')
      expect(lines).toContain('Seeds: 0 of 2 run. Command: `npm run papers -- lenet`.')
    }
  })

  it('has a table where the figures fill one, with dashes for what an entry has not', () => {
    const table: PaperRow = {
      ...row,
      figures: [
        { name: 'a: bits', unit: '', digits: 1 },
        { name: 'b: bits', unit: '', digits: 1 },
        { name: 'b: pack', unit: 'bytes', digits: 0 },
      ],
      table: { head: 'method', entries: ['a', 'b'], columns: ['bits', 'pack'] },
    }
    const runs = [{ seed: 1, seconds: 60, values: { 'a: bits': 2.04, 'b: bits': 8, 'b: pack': 1000 } }]
    const lines = papersPage([table], new Map([['lenet', { row: 'lenet', runs }]])).split('\n')
    const at = lines.indexOf('| method | bits | pack |')
    expect(lines.slice(at + 1, at + 4)).toEqual(['|---|--:|--:|', '| a | 2.0 | – |', '| b | 8.0 | 1000 bytes |'])
  })

  it('cites the paper with a link where it is on arXiv, in words where it is not, and not where there is none', () => {
    const arxiv = papersPage([row], new Map())
    expect(arxiv).toContain('Paper: [Han, Mao, Dally, “Deep Compression:')
    expect(arxiv).toContain(', ICLR 2016](https://arxiv.org/abs/1510.00149).')
    const printed = papersPage([{ ...row, paper: { ...deepCompression, arxiv: undefined } }], new Map())
    expect(printed).toContain('Huffman Coding”, ICLR 2016.')
    expect(printed).not.toContain('](http')
    expect(papersPage([{ ...row, paper: undefined }], new Map())).not.toContain('Paper:')
  })

  it('has a table whose rows all have as many cells as its head, for every row that there is', () => {
    const lines = papersPage([...paperRows.values()], new Map()).split('\n')
    const cells = lines.filter((line) => line.startsWith('|')).map((line) => line.split('|').length)
    expect(new Set(cells)).toEqual(new Set([7]))
    for (const name of paperRows.keys()) expect(lines).toContain(`## ${name}`)
  })
})

describe('quantities', () => {
  it('have the unit and the digits of their figure', () => {
    expect(quantity(1.005, { name: '', unit: '%' })).toMatch(/^1\.0[01] %$/)
    expect(quantity(12.34, { name: '', unit: 'x', digits: 1 })).toBe('12.3x')
    expect(quantity(3, { name: '', unit: '' })).toBe('3.00')
    expect(quantity(undefined, { name: '', unit: '%' })).toBe('–')
  })

  it('have a deviation from two runs on', () => {
    expect(measured([], { name: '', unit: '%' })).toBe('–')
    expect(measured([2], { name: '', unit: '%' })).toBe('2.00 %')
    expect(measured([1, 3], { name: '', unit: '%' })).toBe('2.00 % ± 1.41')
  })
})

describe('the table of the README', () => {
  const headline = { ...row, figures: [{ ...row.figures[0], headline: true }, row.figures[1]] }
  const runs = [{ seed: 1, seconds: 60, values: { error: 1.5, ratio: 39 } }]
  const results = new Map([['lenet', { row: 'lenet', runs }]])
  const readme = 'before\n<!-- written by npm run papers -->\nold\n<!-- end -->\nafter\n'

  it('stands between its marks, has the headline figures only, and does not grow', () => {
    const written = withSummary(readme, [headline], results)
    expect(written).toContain('\nLeNet:\n\n| method |')
    expect(written).toContain('| [magnitude](docs/papers.md#lenet) | error | 1.58 % | 1.50 % | 1 |')
    expect(written).not.toContain('ratio')
    expect(written).not.toContain('old')
    expect(written.startsWith('before\n')).toBe(true)
    expect(written.endsWith('<!-- end -->\nafter\n')).toBe(true)
    expect(withSummary(written, [headline], results)).toBe(written)
  })

  it('says what is missed, and puts rows on the same network into one table', () => {
    const worse = { row: 'lenet', runs: [{ seed: 1, seconds: 60, values: { error: 1.7, ratio: 41, pack: 1 } }] }
    const both = { ...headline, figures: row.figures.map((figure) => ({ ...figure, headline: true })) }
    const other = { ...headline, name: 'other' }
    const written = withSummary(readme, [both, other], new Map([['lenet', worse]]))
    expect(written).toContain(
      '| error<br>ratio<br>pack | 1.58 %<br>40.0x<br>– | 1.70 %, asked ≤ 1.64 %<br>41.0x<br>1 bytes |',
    )
    expect(written).toContain('| [magnitude](docs/papers.md#other) | error | 1.58 % | – | 0 |')
    expect(written.match(/LeNet:/g)).toHaveLength(1)
  })

  it('leaves a text without marks alone', () => {
    expect(withSummary('nothing', [headline], results)).toBe('nothing')
  })
})
