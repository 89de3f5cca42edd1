import {
  isAbsentOr,
  isCount,
  isListOf,
  isLongText,
  isNullOr,
  isObject,
  isOneOf,
  isText,
  isTime,
} from './check-value.ts'

const localeProviders = ['LIBC', 'ICU', 'BUILTIN']
// A restore writes them into its statements as they are.
const databasePrivileges = ['CREATE', 'CONNECT', 'TEMPORARY']

/** Whether a value is what a manifest tells of a database, every field of it: all of them go into lists or statements. */
export function isDatabase(value: unknown): boolean {
  if (!isObject(value)) return false
  const { report, snapshotAt, tables, schemas, partitionedTables, roles, isEmpty, largeObjectCount } = value
  return (
    isReport(report) &&
    isTime(snapshotAt) &&
    isListOf(tables, isTable) &&
    isAbsentOr(schemas, (all) => isListOf(all, isSchema)) &&
    isAbsentOr(partitionedTables, (all) => isListOf(all, isTableName)) &&
    isAbsentOr(roles, (all) => isListOf(all, isText)) &&
    isAbsentOr(isEmpty, isFlag) &&
    isCount(largeObjectCount)
  )
}

function isReport(value: unknown): boolean {
  if (!isObject(value)) return false
  const { name, sizeBytes, ownerName, encoding, localeProvider, collate, ctype, locale, icuRules } = value
  const { connectionLimit, comment, settings, acl, extensions, tablespaces } = value
  return (
    [name, ownerName, encoding, collate, ctype].every(isText) &&
    isCount(sizeBytes) &&
    isOneOf(localeProvider, localeProviders) &&
    isNullOr(locale, isText) &&
    isNullOr(icuRules, isLongText) &&
    Number.isSafeInteger(connectionLimit) &&
    isNullOr(comment, isLongText) &&
    isListOf(settings, isDatabaseSetting) &&
    isNullOr(acl, (all) => isListOf(all, isGrant)) &&
    isListOf(extensions, isExtension) &&
    isListOf(tablespaces, isText)
  )
}

function isGrant(value: unknown): boolean {
  if (!isObject(value)) return false
  const { grantee, privilege, isGrantable } = value
  return isNullOr(grantee, isText) && isOneOf(privilege, databasePrivileges) && isFlag(isGrantable)
}

function isExtension(value: unknown): boolean {
  return isObject(value) && [value.name, value.version, value.schema].every(isText)
}

function isSchema(value: unknown): boolean {
  return isObject(value) && isText(value.name) && isText(value.ownerName)
}

function isTable(value: unknown): boolean {
  return isObject(value) && isTableName(value) && isCount(value.rows) && isAbsentOr(value.bytes, isCount)
}

function isTableName(value: unknown): boolean {
  return isObject(value) && isText(value.schema) && isText(value.name) && isAbsentOr(value.partitionOf, isTableName)
}

function isDatabaseSetting(value: unknown): boolean {
  return isSetting(value) && isObject(value) && isNullOr(value.role, isText)
}

function isSetting(value: unknown): boolean {
  return isObject(value) && isText(value.name) && isLongText(value.value)
}

/** Whether a value is what a manifest tells of a role, every field of it. */
export function isRole(value: unknown): boolean {
  if (!isObject(value)) return false
  const { name, isSuperuser, canLogin, inherits, createsDatabases, createsRoles, isReplication } = value
  const { bypassesRowSecurity, connectionLimit, validUntil, comment, settings, memberships } = value
  const flags = [isSuperuser, canLogin, inherits, createsDatabases, createsRoles, isReplication, bypassesRowSecurity]
  return (
    isText(name) &&
    flags.every(isFlag) &&
    Number.isSafeInteger(connectionLimit) &&
    isNullOr(validUntil, isText) &&
    isNullOr(comment, isLongText) &&
    isListOf(settings, isSetting) &&
    isListOf(memberships, isMembership)
  )
}

function isMembership(value: unknown): boolean {
  if (!isObject(value)) return false
  const { role, isAdmin, inherits, sets } = value
  return isText(role) && isFlag(isAdmin) && isNullOr(inherits, isFlag) && isNullOr(sets, isFlag)
}

function isFlag(value: unknown): boolean {
  return typeof value === 'boolean'
}
