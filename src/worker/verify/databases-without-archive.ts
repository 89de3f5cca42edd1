import { artifactOf, type Manifest } from '../point/manifest.ts'

/** One sentence for each database that a point describes and holds no archive of: nothing of it would be looked at. */
export function databasesWithoutArchive(manifest: Manifest): string[] {
  return manifest.databases
    .map(({ report }) => report.name)
    .filter((name) => !artifactOf(manifest, name))
    .map((name) => `The recovery point lists database ${JSON.stringify(name)} and holds no archive of it.`)
}
