import type { Storage } from './contract.ts'
import { directoryStorage } from './directory.ts'

/** Where bytes can be kept. */
export type StorageLocation = { kind: 'DIRECTORY'; path: string }

/** The storage at a location. Nothing is touched until it is used. */
export function openStorage(location: StorageLocation): Storage {
  switch (location.kind) {
    case 'DIRECTORY':
      return directoryStorage(location.path)
  }
}
