import { describe, expect, it } from 'vitest'
import { measureOnce } from '../../../src/papers/measure-once.ts'
import type { RowStore } from '../../../src/papers/row.ts'

function memoryStore(): RowStore {
  const files = new Map<string, Uint8Array>()
  return {
    read: (name) => Promise.resolve(files.get(name)),
    write: (name, bytes) => Promise.resolve(void files.set(name, bytes)),
    remove: (name) => Promise.resolve(void files.delete(name)),
  }
}

describe('measureOnce', () => {
  it('takes what was measured of the same task, and measures another', async () => {
    const store = memoryStore()
    const measured: string[] = []
    const measure = (task: string, accuracy: number) =>
      measureOnce(store, task, () => {
        measured.push(task)
        return Promise.resolve({ accuracy })
      })
    expect(await measure('2 bits', 91.5)).toEqual({ accuracy: 91.5 })
    expect(await measure('2 bits', 0)).toEqual({ accuracy: 91.5 })
    expect(await measure('3 bits', 91.7)).toEqual({ accuracy: 91.7 })
    expect(measured).toEqual(['2 bits', '3 bits'])
  })

  it('keeps nothing of what failed', async () => {
    const store = memoryStore()
    await expect(measureOnce(store, '2 bits', () => Promise.reject(new Error('stopped')))).rejects.toThrow('stopped')
    expect(await measureOnce(store, '2 bits', () => Promise.resolve({ bytes: 3 }))).toEqual({ bytes: 3 })
  })
})
