// Made and owned by the provider of a managed service: they exist there alone, and mean nothing elsewhere.
const managedRoles =
  /^(azure_|azuresu$|cloudsql|alloydb|rds(_|admin$|repladmin$|topmgr$|proxyadmin$|writeforwarduser$))/

/** Whether a role belongs to the provider of a managed service: it is neither created nor granted on a plain server. */
export function isManagedRole(name: string): boolean {
  return managedRoles.test(name)
}

/** Whether a role belongs to PostgreSQL itself or to the provider of a managed service. */
export function isSystemRole(name: string): boolean {
  return name.startsWith('pg_') || isManagedRole(name)
}
