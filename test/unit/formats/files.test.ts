import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UsageError } from '../../../src/errors.ts'
import { writeFileAtomic } from '../../../src/formats/files.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'espalier-files-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('writeFileAtomic', () => {
  it('writes text, bytes and chunks, and leaves nothing else', async () => {
    const path = join(folder, 'a')
    expect(await writeFileAtomic(path, 'grün')).toBe(5)
    expect(await writeFileAtomic(path, [new Uint8Array([1, 2]), new Uint8Array(0), new Uint8Array([3])])).toBe(3)
    expect([...(await readFile(path))]).toEqual([1, 2, 3])
    expect(await readdir(folder)).toEqual(['a'])
  })

  it('replaces what a symbolic link leads to, and keeps the link', async () => {
    await mkdir(join(folder, 'inner'))
    await writeFile(join(folder, 'inner', 'real'), 'old')
    await symlink(join('inner', 'real'), join(folder, 'link'))
    await writeFileAtomic(join(folder, 'link'), 'new')
    expect((await lstat(join(folder, 'link'))).isSymbolicLink()).toBe(true)
    expect(await readFile(join(folder, 'inner', 'real'), 'utf8')).toBe('new')
    expect(await readdir(join(folder, 'inner'))).toEqual(['real'])
  })

  it('writes into a device instead of replacing it', async () => {
    expect(await writeFileAtomic('/dev/null', 'gone')).toBe(4)
    expect((await lstat('/dev/null')).isCharacterDevice()).toBe(true)
  })

  it('says which file could not be written, and leaves no temporary one', async () => {
    await mkdir(join(folder, 'taken'))
    for (const path of [join(folder, 'taken'), join(folder, 'none', 'x')]) {
      const error: unknown = await writeFileAtomic(path, 'x').catch((cause: unknown) => cause)
      expect(error).toBeInstanceOf(UsageError)
      expect((error as UsageError).place).toBe(path)
    }
    expect(await readdir(folder)).toEqual(['taken'])
  })
})
