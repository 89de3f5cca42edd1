/** The bytes at hand end before what is read does: with more of them it can be read again. */
export class MoreBytesNeeded extends Error {}

/** Reads the values that a pg_dump archive is made of, one after the other. Throws MoreBytesNeeded at the end of the bytes. */
export interface ByteReader {
  readonly position: number
  byte(): number
  /** A number as pg_dump writes it: a sign, then little-endian bytes. */
  integer(): number
  /** Null: none was written, which differs from an empty one. */
  text(): string | null
  skip(bytes: number): void
}

/** Reads from the start of the bytes; `integerBytes` may be set once the archive has told it. */
export function readBytes(bytes: Buffer): ByteReader & { integerBytes: number } {
  let position = 0
  const take = (count: number) => {
    const at = position
    if (at + count > bytes.length) throw new MoreBytesNeeded()
    position = at + count
    return at
  }
  const reader = {
    integerBytes: 4,
    get position() {
      return position
    },
    byte: () => bytes.readUInt8(take(1)),
    integer() {
      const isNegative = reader.byte() !== 0
      const value = bytes.readUIntLE(take(reader.integerBytes), reader.integerBytes)
      return isNegative ? -value : value
    },
    text() {
      const length = reader.integer()
      if (length < 0) return null
      const at = take(length)
      return bytes.toString('utf8', at, at + length)
    },
    skip: (count: number) => void take(count),
  }
  return reader
}
