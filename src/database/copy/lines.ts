import type { Readable } from 'node:stream'

/** The lines of a stream of bytes, each with its end; a last one without an end is left out. */
export async function* linesOf(source: Readable): AsyncGenerator<Buffer> {
  const begun: Buffer[] = []
  for await (const chunk of source as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const part = chunk.subarray(from, end + 1)
      yield begun.length === 0 ? part : Buffer.concat([...begun, part])
      begun.length = 0
      from = end + 1
    }
    if (from < chunk.length) begun.push(chunk.subarray(from))
  }
}
