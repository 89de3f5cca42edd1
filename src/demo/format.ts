/** Such as "283 MB"; decimal units, three digits. */
export function megabytes(bytes: number): string {
  const value = bytes / 1e6
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} MB`
}

/** Such as "1,234,567". */
export function count(number: number): string {
  return Math.round(number).toLocaleString('en')
}

/** Such as "1 view" and "3 views". */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`
}
