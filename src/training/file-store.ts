import { readFile } from 'node:fs/promises'
import { writeFileAtomic } from '../formats/files.ts'
import type { CheckpointStore } from './checkpoint.ts'

/** Keeps checkpoints in a file, which is replaced at once by each new one. */
export function createFileStore(path: string): CheckpointStore {
  return {
    async read() {
      try {
        return await readFile(path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    async write(bytes) {
      await writeFileAtomic(path, bytes)
    },
  }
}
