import { EngineError } from '../engine-error.ts'
import { type ByteReader, MoreBytesNeeded, readBytes } from './byte-reader.ts'

/** One thing that an archive can restore, as pg_dump wrote it down: names are exact, whatever they hold. */
export interface TocEntry {
  /** What `pg_restore --use-list` calls it by. */
  dumpId: number
  /** Such as TABLE, TABLE DATA, INDEX, FK CONSTRAINT, COMMENT. */
  kind: string
  schema: string | null
  /** The object's own name, or that of what it belongs to and its own: "orders orders_pkey". */
  name: string
  /** The role that it belonged to; null: to none. */
  owner: string | null
  /** Null: it is made by no statement of its own, as the data of a table is. */
  definition: string | null
  /** When pg_restore makes it: what has no section of its own goes with what it is about. */
  section: Section
  /** Whether the archive holds data for it, in a block that bears its number. */
  hasData: boolean
  dependsOn: number[]
  /** Where in the archive it is kept at which byte the entry's data begins. */
  offsetAt: number
}

export type Section = 'NONE' | 'PRE_DATA' | 'DATA' | 'POST_DATA'

/** An archive's table of contents. */
export interface Toc {
  entries: TocEntry[]
  /** Whether pg_dump compressed the data: rows cannot be told apart then. */
  isCompressed: boolean
  /** How many bytes it takes from the archive's start; the data follow. */
  sizeBytes: number
  integerBytes: number
  offsetBytes: number
}

/** PostgreSQL 10 and newer write 1.13 and up; what is newer than we know is not guessed at. */
const formats = { oldest: 0x01_0c, newest: 0x01_10 }
const customFormat = 1
const sections: readonly (Section | undefined)[] = [undefined, 'NONE', 'PRE_DATA', 'DATA', 'POST_DATA']

/**
 * Reads the table of contents at the start of an archive in pg_dump's custom format. Undefined when the bytes end before
 * it does. Throws ARCHIVE_UNREADABLE when they are not the start of such an archive.
 */
export function readToc(bytes: Buffer): Toc | undefined {
  try {
    return tocFrom(bytes)
  } catch (error) {
    if (error instanceof MoreBytesNeeded) return undefined
    throw error
  }
}

function tocFrom(bytes: Buffer): Toc {
  const reader = readBytes(bytes)
  const magic = Array.from({ length: 5 }, () => String.fromCharCode(reader.byte())).join('')
  if (magic !== 'PGDMP') throw unreadable('it does not begin as one')
  const version = (reader.byte() << 8) | reader.byte()
  reader.skip(1)
  if (version < formats.oldest || version > formats.newest) {
    throw unreadable(`its format is ${version >> 8}.${version & 0xff}`)
  }
  reader.integerBytes = reader.byte()
  const offsetBytes = reader.byte()
  if (reader.integerBytes !== 4 || offsetBytes > 8) throw unreadable('its numbers have an unknown size')
  if (reader.byte() !== customFormat) throw unreadable('it is not in the custom format')
  const isCompressed = readHeader(reader, version)
  const count = reader.integer()
  const entries: TocEntry[] = []
  for (let at = 0; at < count; at++) entries.push(readEntry(reader, version, offsetBytes))
  return { entries, isCompressed, sizeBytes: reader.position, integerBytes: reader.integerBytes, offsetBytes }
}

/** The kind of compression, which it answers whether there is, the time of the dump (seven numbers), the database, and two versions. */
function readHeader(reader: ByteReader, version: number): boolean {
  const compression = version >= 0x01_0f ? reader.byte() : reader.integer()
  for (let part = 0; part < 7; part++) reader.integer()
  for (let part = 0; part < 3; part++) reader.text()
  return compression !== 0
}

function readEntry(reader: ByteReader, version: number, offsetBytes: number): TocEntry {
  const dumpId = reader.integer()
  const hasData = reader.integer() !== 0
  reader.text() // the catalogue that it is in
  reader.text() // its number there
  const name = reader.text() ?? ''
  const kind = reader.text() ?? ''
  const section = sections[reader.integer()]
  if (!section) throw unreadable('an entry is in an unknown section')
  const definition = reader.text()
  reader.text() // how to drop it
  reader.text() // how to copy its rows
  const schema = reader.text()
  reader.text() // the tablespace
  if (version >= 0x01_0e) reader.text() // the access method
  if (version >= 0x01_10) reader.integer() // the kind of relation
  const owner = reader.text()
  reader.text() // a mark of old versions
  const dependsOn: number[] = []
  for (let id = reader.text(); id !== null; id = reader.text()) dependsOn.push(Number(id))
  const offsetAt = reader.position
  reader.skip(1 + offsetBytes)
  return {
    dumpId,
    kind,
    schema: schema === '' ? null : schema,
    name,
    owner: owner || null,
    definition: definition || null,
    section,
    hasData,
    dependsOn,
    offsetAt,
  }
}

function unreadable(reason: string): EngineError {
  return new EngineError('ARCHIVE_UNREADABLE', `The archive's table of contents could not be read: ${reason}.`)
}
