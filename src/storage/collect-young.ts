/** How many bytes of buffers pass before those that are done with are given back. */
const everyBytes = 8 * 1024 * 1024

/**
 * Counts bytes that pass in buffers which live for a moment, and every 8 MiB has those given back that are done with. Left
 * alone they pile up until the engine looks through all that lives, which takes far longer. Nothing happens where the
 * process was not started with `--expose-gc`.
 */
export function collectingYoung(): (bytes: number) => void {
  let passed = 0
  return (bytes) => {
    passed += bytes
    if (passed < everyBytes) return
    passed = 0
    globalThis.gc?.({ type: 'minor' })
  }
}
