import { relative, sep } from 'node:path'

/** Such as "283 MB" or "4.2 kB"; decimal units. */
export function size(bytes: number): string {
  const [value, unit] = bytes < 1e6 ? [bytes / 1e3, 'kB'] : [bytes / 1e6, 'MB']
  return `${value < 10 ? value.toFixed(1) : count(value)} ${unit}`
}

/** Such as "1,234,567". */
export function count(number: number): string {
  return Math.round(number).toLocaleString('en')
}

/** Such as "1 view" and "3 views". */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`
}

/** The path as one would type it here: relative when it lies below the working directory. */
export function shortPath(path: string): string {
  const below = relative(process.cwd(), path)
  return below === '' || below.startsWith('..') ? path : `.${sep}${below}`
}
