import { existsSync } from 'node:fs'

/**
 * The path of Debian's chromium, or of the browser that CHROMIUM names; undefined where there is none: then the tests
 * that need a real browser are skipped, and say so.
 */
export function chromiumPath(): string | undefined {
  const path = process.env.CHROMIUM ?? '/usr/bin/chromium'
  if (existsSync(path)) return path
  console.warn(`skipped: there is no browser at ${path} (apt-get install chromium)`)
  return undefined
}
