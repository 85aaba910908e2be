#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=1048576 node --max-semi-space-size=2
// Large models are arrays of some megabytes: glibc would keep those that are done for, and V8 a large young generation,
// 80 MB in all beside a model of 100 MB.
import { processIo } from './io.ts'
import { run } from './run.ts'

process.exitCode = await run(process.argv.slice(2), processIo())
