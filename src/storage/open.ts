import type { Storage } from './contract.ts'
import { directoryStorage } from './directory.ts'
import type { S3Location } from './s3/location.ts'
import { s3Storage } from './s3.ts'

/** Where bytes can be kept; the secrets in it are open: keep it out of every log and error. */
export type StorageLocation = { kind: 'DIRECTORY'; path: string } | S3Location

/** The storage at a location. Nothing is touched until it is used. */
export function openStorage(location: StorageLocation): Storage {
  switch (location.kind) {
    case 'DIRECTORY':
      return directoryStorage(location.path)
    case 'S3':
      return s3Storage(location)
  }
}
