-- What a server holds beside the contents of its databases: (kind, name, value), one row for each thing. A restore gives no role
-- SUPERUSER, REPLICATION or BYPASSRLS, and says so: these are not compared.
with mine as (select * from pg_database where not datistemplate and datname <> 'postgres')
select 'database' as kind, datname::text as name,
  concat_ws(' ', pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba), datconnlimit,
    (select string_agg(a::text, ',' order by a::text) from unnest(coalesce(datacl, acldefault('d', datdba))) a),
    shobj_description(oid, 'pg_database')) as value
from mine
union all
select 'role', rolname, concat_ws(' ', rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolconnlimit, rolvaliduntil)
from pg_roles where rolname !~ '^pg_'
union all
select 'membership', format('%I in %I', m.rolname, g.rolname), 'admin option ' || admin_option
from pg_auth_members join pg_roles g on g.oid = roleid join pg_roles m on m.oid = member
union all
select 'setting', format('%s in %s', coalesce(r.rolname, 'everyone'), coalesce(d.datname, 'every database')),
  (select string_agg(s, ' ' order by s) from unnest(setconfig) s)
from pg_db_role_setting left join pg_roles r on r.oid = setrole left join pg_database d on d.oid = setdatabase
