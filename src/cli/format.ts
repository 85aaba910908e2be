/** Numbers as people read them. Sizes are exact bytes, with a rounded unit behind where that helps. */

/** A whole number with separators: 1,066,440. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

/** Exact bytes up to 9,999; beyond, a decimal unit with three digits: 676 kB is 676,000 bytes. */
export function formatBytes(bytes: number): string {
  if (bytes < 10_000) return `${formatCount(bytes)} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes / 1000
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value.toPrecision(3)} ${units[unit]}`
}

/** A share as per cent: 0.9812 is 98.12 %. */
export function formatPercent(share: number, digits = 2): string {
  return `${(share * 100).toFixed(digits)} %`
}

/** A ratio, before over after: 39.2x; a dash where there was nothing before. */
export function formatRatio(ratio: number): string {
  if (ratio === 0) return '-'
  return `${ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(ratio >= 10 ? 1 : 2)}x`
}

/** Milliseconds with three digits. */
export function formatMs(ms: number): string {
  return `${ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3)} ms`
}

/** Picojoules as microjoules with at least three digits: 4.5e6 is 4.50 µJ. */
export function formatMicrojoules(picojoules: number): string {
  const value = picojoules / 1e6
  return `${value >= 1000 ? formatCount(value) : value.toPrecision(3)} µJ`
}

const two = (value: number) => String(value).padStart(2, '0')

/** A span of time: 0.4 s, 45 s, 3:05 min, 1:02:03 h. */
export function formatSeconds(seconds: number): string {
  if (seconds > 0 && seconds < 9.95) return `${Math.max(0.1, seconds).toFixed(1)} s`
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)} h` : `${minutes}:${two(rest)} min`
}

/** A number of no particular kind in at most four digits. */
export function formatNumber(value: number): string {
  if (Number.isInteger(value)) return formatCount(value)
  const size = Math.abs(value)
  return size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2)
}
