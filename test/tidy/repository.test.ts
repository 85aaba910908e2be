/** Repository rules as a test: fresh indexes, small files, true links, skips with a reason. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { methods } from '../../src/methods/index.ts'
import { benchNetworks } from '../../src/papers/criteria/networks.ts'
import { criteriaPage } from '../../src/papers/criteria/page.ts'
import { parseCriteriaResults } from '../../src/papers/criteria/results.ts'
import { papersPage, withSummary } from '../../src/papers/page.ts'
import { parseResults } from '../../src/papers/results.ts'
import { paperRows } from '../../src/papers/rows/index.ts'

const root = resolve(import.meta.dirname, '../..')
const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((path) => path && existsSync(join(root, path)))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const generated = new Set(['src/formats/onnx/onnx_pb.ts'])

describe('the repository', () => {
  it('has fresh indexes of its records', () => {
    expect(() => execFileSync('node', ['scripts/generate.mjs', '--check'], { cwd: root, stdio: 'pipe' })).not.toThrow()
  })

  it('keeps source files under 400 lines', () => {
    const long = tracked
      .filter((path) => path.startsWith('src/') && path.endsWith('.ts') && !generated.has(path))
      .map((path) => ({ path, lines: read(path).split('\n').length }))
      .filter(({ lines }) => lines > 400)
    expect(long).toEqual([])
  })

  it('has no folder that could hold anything', () => {
    const vague = tracked.filter((path) => /(^|\/)(utils?|helpers?|common|misc)(\/|\.)/.test(path))
    expect(vague).toEqual([])
  })

  it('tracks no file over a megabyte', () => {
    const large = tracked.filter((path) => readFileSync(join(root, path)).length > 1_000_000)
    expect(large).toEqual([])
  })

  it('locks the optional packages of every platform, without which npm ci stops', () => {
    interface Locked {
      readonly packages: Record<string, { readonly optionalDependencies?: Record<string, string> }>
    }
    const { packages } = JSON.parse(read('package-lock.json')) as Locked
    const missing = Object.values(packages)
      .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
      .filter((name) => !Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`)))
    expect(missing).toEqual([])
  })

  it('links only to files that exist', () => {
    const broken: string[] = []
    for (const path of tracked.filter((name) => name.endsWith('.md')))
      for (const [, target] of read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g))
        if (!/^[a-z]+:/.test(target) && !existsSync(join(root, dirname(path), target)))
          broken.push(`${path}: ${target}`)
    expect(broken).toEqual([])
  })

  it('skips no test without a reason beside it', () => {
    const silent: string[] = []
    for (const path of tracked.filter((name) => name.startsWith('test/') && name.endsWith('.ts'))) {
      const lines = read(path).split('\n')
      lines.forEach((line, index) => {
        if (!/\b(?:it|test|describe)\.(?:skip|todo|only)\b/.test(line)) return
        if (!line.includes('//') && !lines[index - 1]?.includes('//')) silent.push(`${path}:${index + 1}`)
      })
    }
    expect(silent).toEqual([])
  })

  it('shows the results of the papers as they are', () => {
    const results = new Map(
      tracked
        .filter((path) => /^docs\/papers\/.*\.json$/.test(path))
        .map((path) => parseResults(read(path), path))
        .map((parsed) => [parsed.row, parsed]),
    )
    const rows = [...paperRows.values()]
    expect(read('docs/papers.md')).toBe(papersPage(rows, results))
    expect(read('README.md')).toContain('<!-- written by npm run papers -->')
    expect(read('README.md')).toBe(withSummary(read('README.md'), rows, results))
  })

  it('shows the comparison of criteria as it was measured', () => {
    const results = new Map(
      tracked
        .filter((path) => /^docs\/criteria\/.*\.json$/.test(path))
        .map((path) => parseCriteriaResults(read(path), path))
        .map((parsed) => [parsed.network, parsed]),
    )
    const criteria = [...methods.values()].filter(({ removes }) => removes === 'filters')
    expect(read('docs/criteria.md')).toBe(criteriaPage(benchNetworks, criteria, results))
    for (const { entries } of results.values())
      expect(entries.some(({ criterion }) => criterion === 'random-filters')).toBe(true)
  })

  it('records no download addresses in the lock file', () => {
    expect(read('package-lock.json')).not.toMatch(/"resolved": "https?:/)
  })
})
