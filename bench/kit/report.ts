/** The middle one of some figures. */
export function median(figures: readonly number[]): number {
  return quantile(figures, 0.5)
}

/** The figure that a share of all figures does not exceed. */
export function quantile(figures: readonly number[], share: number): number {
  const sorted = figures.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

/** Prints one line of a table. */
export function row(name: string, ...cells: string[]): void {
  process.stdout.write(`${name.padEnd(44)}${cells.map((cell) => cell.padEnd(16)).join('')}\n`)
}
