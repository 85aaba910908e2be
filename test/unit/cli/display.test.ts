import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatBytes,
  formatMs,
  formatNumber,
  formatPercent,
  formatRatio,
  formatSeconds,
} from '../../../src/cli/format.ts'
import { fitLines } from '../../../src/cli/fit-lines.ts'
import type { Io } from '../../../src/cli/io.ts'
import { createProgressDisplay } from '../../../src/cli/progress.ts'
import { formatTable, left, names, right } from '../../../src/cli/table.ts'
import { shortened, visible } from '../../../src/cli/visible.ts'

describe('numbers', () => {
  it('are exact or say their unit', () => {
    expect([0, 999, 9999, 10_000, 675_763, 999_499, 999_600, 1e12].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '9,999 B',
      '10.0 kB',
      '676 kB',
      '999 kB',
      '1.00 MB',
      '1.00 TB',
    ])
    expect([formatPercent(0.98765), formatRatio(39.216), formatRatio(1), formatRatio(250.4)]).toEqual([
      '98.77 %',
      '39.2x',
      '1.00x',
      '250x',
    ])
    expect([formatMs(0.1704), formatMs(12.345), formatMs(1234.5)]).toEqual(['0.170 ms', '12.3 ms', '1235 ms'])
    expect([0, 0.02, 5.44, 12.3, 185, 3723].map(formatSeconds)).toEqual([
      '0 s',
      '0.1 s',
      '5.4 s',
      '12 s',
      '3:05 min',
      '1:02:03 h',
    ])
    expect(formatRatio(0)).toBe('-')
    expect([formatNumber(1234), formatNumber(0.123456), formatNumber(1e-7)]).toEqual(['1,234', '0.1235', '1.00e-7'])
  })
})

describe('fitLines', () => {
  it('leaves what fits, and everything where there is no terminal', () => {
    const text = 'a  bc\n\n  - d\n'
    expect(fitLines(text, 5)).toBe(text)
    expect(fitLines(`${'word '.repeat(99)}\n`, Number.POSITIVE_INFINITY)).toBe(`${'word '.repeat(99)}\n`)
  })

  it('goes on under the last column that begins early enough, or under the text of an item', () => {
    expect(fitLines('name    two words more', 18)).toBe('name    two words\n        more')
    expect(fitLines('name    a late column  words', 24)).toBe('name    a late column\n        words')
    expect(fitLines('  - one two three\nnext', 12)).toBe('  - one two\n    three\nnext')
    expect(fitLines('one two three', 8)).toBe('one two\nthree')
  })

  it('cuts rules off, and leaves a longer word whole', () => {
    expect(fitLines('---  ------------', 10)).toBe('---  -----')
    expect(fitLines(`to  ${'x'.repeat(12)} end`, 10)).toBe(`to  ${'x'.repeat(12)}\n    end`)
    expect(fitLines('x'.repeat(12), 10)).toBe('x'.repeat(12))
  })

  it('loses no word, whatever the width', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-zé]{1,9}( {1,3}|\n)$/)),
        fc.integer({ min: 1, max: 40 }),
        (parts, width) => {
          const text = parts.join('')
          const fitted = fitLines(text, width)
          expect(fitted.split(/\s+/)).toEqual(text.split(/\s+/))
          for (const line of fitted.split('\n'))
            if (line.length > width) expect(line.trim().replace(/^- /, '')).not.toMatch(/\S \S/)
        },
      ),
    )
  })
})

describe('formatTable', () => {
  it('aligns columns, numbers to the right', () => {
    expect(
      formatTable(
        [left('name'), right('n')],
        [
          ['a', '1'],
          ['bcdef', '1,000'],
        ],
      ),
    ).toBe('name       n\n-----  -----\na          1\nbcdef  1,000\n')
    expect(
      formatTable(
        [left(''), left('')],
        [
          ['a', 'é'],
          ['bb', ''],
        ],
      ),
    ).toBe('a   é\nbb\n')
  })

  it('shows control characters as escapes, and long names without their middle', () => {
    expect(formatTable([left('')], [['a\u001b[31mb\nc']])).toBe('a\\x1b[31mb\\nc\n')
    const long = 'x'.repeat(70)
    expect(formatTable([names(''), left('')], [[long, long]])).toBe(`${'x'.repeat(30)}…${'x'.repeat(29)}  ${long}\n`)
  })
})

describe('visible', () => {
  it('escapes what steers a terminal or turns text around, and leaves letters of any script', () => {
    expect(visible('\0\t\r\u007f\u009b\u200f\u202e\u2066\u2028')).toBe(
      String.raw`\x00\t\r\x7f\x9b\u200f\u202e\u2066\u2028`,
    )
    expect(visible('läyer/重み.0 אב 👍')).toBe('läyer/重み.0 אב 👍')
  })

  it('shortens by characters, never through one', () => {
    expect(shortened('abcdef', 6)).toBe('abcdef')
    expect(shortened('👍👍👍👍👍', 4)).toBe('👍👍…👍')
  })
})

function recorder(terminal: boolean): { io: Io; text(): string } {
  let text = ''
  const stderr = (more: string) => {
    text += more
  }
  return {
    io: {
      stdout: () => {},
      stderr,
      terminal,
      columns: 60,
      resultColumns: Number.POSITIVE_INFINITY,
      signal: new AbortController().signal,
    },
    text: () => text,
  }
}

describe('progress', () => {
  it('draws one line a task on a terminal, never wider than it', () => {
    const { io, text } = recorder(true)
    let now = 0
    const display = createProgressDisplay(io, () => now)
    for (let done = 0; done <= 100; done++) {
      now += 100
      display.listener({ task: 'train', done, total: 100, detail: { loss: 0.5, validationAccuracy: 0.9876 } })
    }
    display.listener({ task: 'evaluate', done: 1, total: 2 })
    display.finish()
    const lines = text().split('\n')
    expect(lines).toHaveLength(3)
    const drawings = lines.flatMap((line) => line.split('\r\u001b[2K'))
    expect(drawings.length).toBeGreaterThan(50)
    for (const drawing of drawings) expect([...drawing].length).toBeLessThan(60)
    expect(drawings.find((drawing) => drawing.includes('50 %'))).toContain('[==========          ]')
  })

  it('keeps the time left on a narrow terminal, and escapes what details hold', () => {
    const { io, text } = recorder(true)
    let now = 0
    const display = createProgressDisplay(io, () => now)
    for (let done = 1; done <= 5; done++) {
      now += 1000
      display.listener({ task: 'train', done, total: 10, detail: { loss: 0.5, layer: 'a\u001b[2Jb'.repeat(9) } })
    }
    expect(text()).toMatch(/5\/10 {2}5\.0 s left$/)
    expect(text()).not.toContain('\u001b[2J')
  })

  it('does not guess the time left from next to nothing', () => {
    const { io, text } = recorder(true)
    let now = 0
    const display = createProgressDisplay(io, () => now)
    display.listener({ task: 'unpack', done: 0, total: 1000 })
    now = 1000
    display.listener({ task: 'unpack', done: 5, total: 1000 })
    expect(text()).not.toContain('left')
    now = 3000
    display.listener({ task: 'unpack', done: 30, total: 1000 })
    expect(text()).toContain('1:37 min left')
  })

  it('prints few plain lines elsewhere, the last one complete, with rate and time left', () => {
    const { io, text } = recorder(false)
    let now = 0
    const display = createProgressDisplay(io, () => now)
    for (let done = 1; done <= 200; done++) {
      now += 100
      display.listener({ task: 'train', done, total: 200, detail: { validationAccuracy: 0.9876 } })
    }
    display.note('done')
    const lines = text().trimEnd().split('\n')
    expect(lines.length).toBeLessThanOrEqual(8)
    expect(lines[1]).toMatch(/10\/s {2}\d+ s left/)
    expect(lines.at(-2)).toMatch(/^train.*100 %.*200\/200.*validation accuracy 98\.76 %.*in 20 s$/)
    expect(lines.at(-1)).toBe('done')
  })

  it('prints one plain line of a task that is done, with its last word, and none of one that was done at once', () => {
    const { io, text } = recorder(false)
    let now = 0
    const display = createProgressDisplay(io, () => now)
    display.listener({ task: 'train', done: 1, total: 2 })
    now += 2000
    display.listener({ task: 'train', done: 2, total: 2, detail: { loss: 0.5 } })
    display.listener({ task: 'train', done: 2, total: 2, detail: { loss: 0.25 } })
    now += 4000
    display.listener({ task: 'k-means', done: 0, total: 1 })
    now += 100
    display.listener({ task: 'k-means', done: 1, total: 1 })
    display.finish()
    const [began, ended, ...more] = text().trimEnd().split('\n')
    expect(began).toMatch(/1\/2$/)
    expect(ended).toMatch(/^train.*2\/2 {2}loss 0\.25.*in 2\.0 s$/)
    expect(more).toEqual([])
  })

  it('shows the last state of a task that ended early', () => {
    const { io, text } = recorder(false)
    const display = createProgressDisplay(io, () => 0)
    display.listener({ task: 'a', done: 1, total: 10 })
    display.listener({ task: 'a', done: 7, total: 10 })
    display.listener({ task: 'b', done: 1, total: 10, detail: { layer: 'conv1' } })
    display.finish()
    expect(text()).toContain('7/10')
    expect(text()).toContain('layer conv1')
  })
})
