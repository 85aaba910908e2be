/** docs/pruning.md knows every method of the family, what it removes and what it needs. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { methods } from '../../src/methods/index.ts'
import type { Method } from '../../src/methods/method.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/pruning.md'), 'utf8')
const table = page.slice(page.indexOf('<!-- every method'), page.indexOf('<!-- end -->'))
const rows = [...table.matchAll(/^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$/gm)].map(
  ([, name, removes, needs]) => ({ name, removes, needs }),
)

/** What the page calls a method's needs: a training has gradients anyway. */
function needsOf({ needs }: Method): string {
  if (needs.includes('training-data')) return 'training'
  const words = [needs.includes('calibration-data') && 'data', needs.includes('gradients') && 'gradients']
  return words.filter(Boolean).join(', ') || '–'
}

describe('docs/pruning.md', () => {
  const pruning = [...methods.values()].filter(({ family }) => family === 'pruning')

  it('has a row for every method of the family, and for no other', () => {
    expect(rows.map(({ name }) => name).toSorted()).toEqual(pruning.map(({ name }) => name).toSorted())
  })

  it.each(pruning.map((method) => [method.name, method] as const))('says what %s removes and needs', (name, method) => {
    const row = rows.find((each) => each.name === name)!
    expect(row.needs).toBe(needsOf(method))
    if (method.removes) expect(row.removes).toBe(method.removes)
  })

  it('names no option that methods do not have', () => {
    const magnitude = methods.get('magnitude')!.options
    const filters = methods.get('filter-l1')!.options
    const amounts = page.slice(page.indexOf('## How much'), page.indexOf('## Which layers'))
    for (const [, name, whose] of amounts.matchAll(/^\| `(\w+)`[^|]*\| (weights|filters) \|/gm)) {
      const { error } = (whose === 'weights' ? magnitude : filters).safeParse({ [name]: Number.NaN })
      expect(error?.issues.map(({ code }) => code)).not.toContain('unrecognized_keys')
    }
  })
})
