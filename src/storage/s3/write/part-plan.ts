const mebibyte = 1024 * 1024

/**
 * Parts grow with the object, so that small ones are sent in small pieces, and 10,000 parts, which is the most that S3
 * takes, hold much. What is under way at once stays within 64 MiB.
 */
const steps = [
  { parts: 1000, sizeBytes: 8 * mebibyte, mostInFlight: 4 },
  { parts: 1000, sizeBytes: 16 * mebibyte, mostInFlight: 4 },
  { parts: 1000, sizeBytes: 32 * mebibyte, mostInFlight: 2 },
  { parts: 7000, sizeBytes: 64 * mebibyte, mostInFlight: 1 },
] as const

export interface PartPlan {
  /** How large the part is unless it is the last one. */
  sizeBytes: number
  /** How many parts of that size are sent at once. */
  mostInFlight: number
}

/** The largest object that can be stored, in bytes: 504,000 MiB, or about 528 GB. */
export const largestObjectBytes = steps.reduce((sum, { parts, sizeBytes }) => sum + parts * sizeBytes, 0)

/** How the part of that number (from 1) is sent; undefined when an object has no such part. */
export function planPart(number: number): PartPlan | undefined {
  let last = 0
  for (const { parts, sizeBytes, mostInFlight } of steps) {
    last += parts
    if (number <= last) return { sizeBytes, mostInFlight }
  }
  return undefined
}
