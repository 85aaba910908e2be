import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { DataError, UsageError } from '../../../src/errors.ts'
import { folderStore, runPapers, type PapersOptions } from '../../../src/papers/harness.ts'
import { parseResults } from '../../../src/papers/results.ts'
import { definePaperRow, type PaperRow, type RowEnvironment } from '../../../src/papers/row.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'papers-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A row whose run is `run`, or gives ten times the seed. */
function row(name: string, facts: Partial<PaperRow> = {}): PaperRow {
  return definePaperRow({
    name,
    summary: 'Does nothing much.',
    network: 'None',
    data: 'None',
    method: 'none',
    needs: [],
    figures: [{ name: 'score', unit: '%' }],
    seeds: [1, 2, 3],
    minutes: 0,
    difference: 'None.',
    run: async ({ seed }) => ({ score: 10 * seed }),
    ...facts,
  })
}

/** Runs rows in the folder of the test, and says which notes were given. */
async function run(rows: readonly PaperRow[], options: Partial<PapersOptions> = {}) {
  const notes: string[] = []
  const results = await runPapers({
    rows,
    engine: referenceEngine,
    data: join(folder, 'data'),
    docs: join(folder, 'docs'),
    cache: join(folder, 'cache'),
    note: (text) => notes.push(text),
    ...options,
  })
  return { results, notes }
}

const page = () => readFile(join(folder, 'docs', 'papers.md'), 'utf8')

async function stored(name: string) {
  const file = join(folder, 'docs', 'papers', `${name}.json`)
  return existsSync(file) ? parseResults(await readFile(file, 'utf8'), file).runs : undefined
}

describe('runPapers', () => {
  it('runs each seed once, and only the missing ones the next time', async () => {
    const ran: number[] = []
    const counted = row('counted', {
      run: async ({ seed }) => {
        ran.push(seed)
        return { score: seed }
      },
    })
    const { results } = await run([counted])
    expect(ran).toEqual([1, 2, 3])
    expect(results.get('counted')!.runs.map((entry) => entry.values)).toEqual([
      { score: 1 },
      { score: 2 },
      { score: 3 },
    ])
    const again = await run([{ ...counted, seeds: [1, 4, 3] }])
    expect(ran).toEqual([1, 2, 3, 4])
    expect(again.notes.filter((text) => text.includes('has a result already'))).toHaveLength(2)
    expect((await stored('counted'))!.map(({ seed }) => seed)).toEqual([1, 2, 3, 4])
  })

  it('keeps a result as soon as it is there, and goes on behind an error in the middle', async () => {
    const ran: number[] = []
    let broken = true
    const fragile = row('fragile', {
      run: async ({ seed }) => {
        ran.push(seed)
        expect((await stored('fragile'))?.map((entry) => entry.seed) ?? []).toEqual([1, 2].slice(0, seed - 1))
        if (seed === 2 && broken) throw new Error('the power is gone')
        return { score: seed }
      },
    })
    await expect(run([fragile])).rejects.toThrow('the power is gone')
    expect((await stored('fragile'))!.map(({ seed }) => seed)).toEqual([1])
    broken = false
    await run([fragile])
    expect(ran).toEqual([1, 2, 2, 3])
    expect((await stored('fragile'))!.map(({ seed }) => seed)).toEqual([1, 2, 3])
  })

  it('gives a row that was killed what it had stored, and clears it when the row is done', async () => {
    const found: (string | undefined)[] = []
    const resuming = row('resuming', {
      seeds: [7],
      run: async ({ store }) => {
        const bytes = await store.read('half way')
        found.push(bytes && new TextDecoder().decode(bytes))
        if (!bytes) {
          await store.write('half way', new TextEncoder().encode('epoch 5'))
          throw new Error('killed')
        }
        return { score: 1 }
      },
    })
    await expect(run([resuming])).rejects.toThrow('killed')
    expect(existsSync(join(folder, 'cache', 'resuming', '7'))).toBe(true)
    await run([resuming])
    expect(found).toEqual([undefined, 'epoch 5'])
    expect(existsSync(join(folder, 'cache', 'resuming', '7'))).toBe(false)
  })

  it('runs what has a result again when asked for fresh ones, and keeps one result a seed', async () => {
    let score = 1
    const changing = row('changing', { seeds: [1, 2], run: async () => ({ score: score++ }) })
    await run([changing])
    await run([changing], { fresh: true })
    expect((await stored('changing'))!.map(({ seed, values }) => [seed, values['score']])).toEqual([
      [1, 3],
      [2, 4],
    ])
  })

  it('hands the seed, the engine and absolute paths to the row', async () => {
    const seen: RowEnvironment[] = []
    const curious = row('curious', {
      seeds: [5],
      run: async (environment) => {
        seen.push(environment)
        return { score: 0 }
      },
    })
    await run([curious])
    expect(seen[0].seed).toBe(5)
    expect(seen[0].engine).toBe(referenceEngine)
    expect(seen[0].path('mnist')).toBe(join(folder, 'data', 'mnist'))
  })

  it('skips a row whose data is absent, says so, and runs it once the data is there', async () => {
    const needy = row('needy', { needs: ['mnist', 'models/a.onnx'] })
    await mkdir(join(folder, 'data', 'mnist'), { recursive: true })
    const { notes, results } = await run([needy, row('other')])
    expect(notes[0]).toBe(`needy: skipped, models/a.onnx not found under ${join(folder, 'data')}`)
    expect(results.has('needy')).toBe(false)
    expect(results.has('other')).toBe(true)
    expect(await page()).toMatch(/## needy[^]*not run[^]*## other/)
    await mkdir(join(folder, 'data', 'models'))
    await writeFile(join(folder, 'data', 'models', 'a.onnx'), '')
    expect((await run([needy])).results.get('needy')!.runs).toHaveLength(3)
  })

  it('runs the rows that were named and keeps the others on the page', async () => {
    const rows = [row('first'), row('second')]
    const { results } = await run(rows, { only: ['second'] })
    expect([...results.keys()]).toEqual(['second'])
    expect(await page()).toContain('## first')
    expect(await page()).toContain('| score | – | 20.00 % ± 10.00 |')
  })

  it('refuses an unknown row with the name that is nearest, or with all names, before it runs any', async () => {
    const rows = [row('lenet-5'), row('squeezenet')]
    const wrong = await run(rows, { only: ['lenet-5', 'squezenet'] }).catch((error: unknown) => error)
    expect(wrong).toBeInstanceOf(UsageError)
    expect((wrong as UsageError).hint).toContain("'squeezenet'")
    expect(await stored('lenet-5')).toBeUndefined()
    const strange = await run(rows, { only: ['zzzzzzzzzzzz'] }).catch((error: unknown) => error)
    expect((strange as UsageError).hint).toContain('lenet-5, squeezenet')
  })

  it('writes the page alone when asked to, from the results that are there', async () => {
    const rows = [row('done', { seeds: [1] }), row('open')]
    await run(rows, { only: ['done'] })
    await rm(join(folder, 'docs', 'papers.md'))
    const never = rows.map((each) => ({ ...each, run: () => Promise.reject(new Error('must not run')) }))
    await run(never, { pageOnly: true, fresh: true })
    expect(await page()).toContain('| score | – | 10.00 % |')
    expect(await page()).toContain('| score | – | – | – | not run |')
  })

  it('refuses a results file that is none, with its place', async () => {
    await mkdir(join(folder, 'docs', 'papers'), { recursive: true })
    await writeFile(join(folder, 'docs', 'papers', 'bad.json'), '{"row": "bad"}')
    const wrong = await run([row('bad')]).catch((error: unknown) => error)
    expect(wrong).toBeInstanceOf(DataError)
    expect((wrong as DataError).place).toBe(join(folder, 'docs', 'papers', 'bad.json'))
  })
})

describe('folderStore', () => {
  it('gives back what was written last under a name, and undefined before', async () => {
    const store = folderStore(join(folder, 'deep', 'er'))
    expect(await store.read('a')).toBeUndefined()
    await store.write('a', Uint8Array.of(1, 2))
    await store.write('a', Uint8Array.of(3))
    await store.write('b', Uint8Array.of(4))
    expect([...(await store.read('a'))!]).toEqual([3])
    expect([...(await store.read('b'))!]).toEqual([4])
    await store.remove('a')
    await store.remove('never there')
    expect(await store.read('a')).toBeUndefined()
    expect([...(await store.read('b'))!]).toEqual([4])
  })

  it('keeps names with slashes inside its folder', async () => {
    const store = folderStore(join(folder, 'inner'))
    await store.write('../outside', Uint8Array.of(1))
    await store.write('step 1/round 2', Uint8Array.of(2))
    expect(existsSync(join(folder, 'outside'))).toBe(false)
    expect([...(await store.read('step 1/round 2'))!]).toEqual([2])
  })
})
