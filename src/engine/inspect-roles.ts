import type { RoleReport } from './inspect.ts'
import { isSystemRole } from './managed-roles.ts'
import type { Session } from './session.ts'

/** Every role but those of the system, by name. Needs no special right: passwords are not read. */
export async function inspectRoles({ sql }: Session): Promise<RoleReport[]> {
  const rows = await sql.unsafe<RoleReport[]>(`
    select r.rolname as name, r.rolsuper as "isSuperuser", r.rolcanlogin as "canLogin", r.rolinherit as inherits,
      r.rolcreatedb as "createsDatabases", r.rolcreaterole as "createsRoles", r.rolreplication as "isReplication",
      r.rolbypassrls as "bypassesRowSecurity", r.rolconnlimit as "connectionLimit",
      r.rolvaliduntil::text as "validUntil", shobj_description(r.oid, 'pg_authid') as comment,
      coalesce((select jsonb_agg(jsonb_build_object(
          'name', split_part(c.entry, '=', 1), 'value', substr(c.entry, strpos(c.entry, '=') + 1)))
        from pg_db_role_setting s, unnest(s.setconfig) c (entry)
        where s.setrole = r.oid and s.setdatabase = 0), '[]') as settings,
      coalesce((select jsonb_agg(jsonb_build_object('role', m.role, 'isAdmin', m.admin, 'inherits', m.inherits, 'sets', m.sets)
          order by m.role)
        from (select pg_get_userbyid(a.roleid) as role, bool_or(a.admin_option) as admin,
            bool_or((to_jsonb(a) ->> 'inherit_option')::boolean) as inherits,
            bool_or((to_jsonb(a) ->> 'set_option')::boolean) as sets
          from pg_auth_members a where a.member = r.oid group by a.roleid) m), '[]') as memberships
    from pg_roles r order by r.rolname`)
  return rows.filter(({ name }) => !isSystemRole(name))
}
