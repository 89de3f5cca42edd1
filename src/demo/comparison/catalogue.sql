-- What a database is made of, but for the rows: (kind, name, value), one row for each thing, as PostgreSQL itself writes it.
with own_schema as (
  select * from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
), relation as (
  select c.*, c.oid::regclass::text as name from pg_class c join own_schema n on n.oid = c.relnamespace
), extension_member as (
  select classid, objid from pg_depend where deptype = 'e' and refclassid = 'pg_extension'::regclass
)
select 'schema' as kind, nspname::text as name, concat_ws(' ', pg_get_userbyid(nspowner),
  (select string_agg(a::text, ',' order by a::text) from unnest(coalesce(nspacl, acldefault('n', nspowner))) a)) as value
from own_schema
union all
select case relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
  name, concat_ws(' ', relkind, pg_get_userbyid(relowner), relpersistence, relrowsecurity, relforcerowsecurity, relispopulated,
    reloptions::text, pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid),
    (select string_agg(a::text, ',' order by a::text)
      from unnest(coalesce(relacl, acldefault(case relkind when 'S' then 's'::"char" else 'r' end, relowner))) a))
from relation where relkind in ('r', 'p', 'v', 'm', 'S')
union all
select 'column', format('%s.%I', name, attname), concat_ws(' ', attnum, format_type(atttypid, atttypmod), attnotnull,
  attidentity, attgenerated, attstorage, attcollation::regcollation, pg_get_expr(adbin, adrelid),
  (select string_agg(a::text, ',' order by a::text) from unnest(attacl) a))
from relation join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped
left join pg_attrdef on adrelid = attrelid and adnum = attnum
where relkind in ('r', 'p', 'v', 'm')
union all
select 'view definition', name, pg_get_viewdef(oid) from relation where relkind in ('v', 'm')
union all
select 'index', indexrelid::regclass::text, concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid)
from pg_index join relation on relation.oid = indrelid
union all
select 'constraint', format('%s on %s', conname, coalesce(relation.name, contypid::regtype::text)),
  concat_ws(' ', pg_get_constraintdef(c.oid), convalidated)
from pg_constraint c join own_schema n on n.oid = connamespace left join relation on relation.oid = conrelid
union all
select 'trigger', format('%s on %s', tgname, name), concat_ws(' ', pg_get_triggerdef(t.oid), tgenabled)
from pg_trigger t join relation on relation.oid = tgrelid where not tgisinternal
union all
select 'rule', format('%s on %s', rulename, name), pg_get_ruledef(r.oid)
from pg_rewrite r join relation on relation.oid = ev_class where rulename <> '_RETURN'
union all
select 'policy', format('%s on %s', polname, name), concat_ws(' ', polcmd, polpermissive, polroles::regrole[]::text,
  pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
from pg_policy join relation on relation.oid = polrelid
union all
select 'function', p.oid::regprocedure::text, concat_ws(' ',
  case prokind when 'a' then (select concat_ws(' ', aggtransfn, aggtranstype::regtype, agginitval) from pg_aggregate where aggfnoid = p.oid)
    else pg_get_functiondef(p.oid) end,
  pg_get_userbyid(proowner),
  (select string_agg(a::text, ',' order by a::text) from unnest(coalesce(proacl, acldefault('f', proowner))) a))
from pg_proc p join own_schema n on n.oid = pronamespace
where not exists (select from extension_member where classid = 'pg_proc'::regclass and objid = p.oid)
union all
select 'type', t.oid::regtype::text, concat_ws(' ', typtype, pg_get_userbyid(typowner), typnotnull, typdefault,
  case when typtype = 'd' then format_type(typbasetype, typtypmod) end,
  (select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum where enumtypid = t.oid))
from pg_type t join own_schema n on n.oid = typnamespace
where typtype in ('e', 'd', 'c', 'r') and not exists (select from relation where relation.oid = typrelid and relkind <> 'c')
  and not exists (select from extension_member where classid = 'pg_type'::regclass and objid = t.oid)
union all
select 'extension', extname, concat_ws(' ', extversion, n.nspname) from pg_extension join pg_namespace n on n.oid = extnamespace
union all
select 'statistics', stxname, pg_get_statisticsobjdef(oid) from pg_statistic_ext
union all
select 'default privilege', concat_ws(' ', pg_get_userbyid(defaclrole), nspname, defaclobjtype),
  (select string_agg(a::text, ',' order by a::text) from unnest(defaclacl) a)
from pg_default_acl left join own_schema n on n.oid = defaclnamespace
union all
select 'comment', pg_describe_object(classoid, objoid, objsubid), description
from pg_description d where objoid >= 16384
  and not exists (select from extension_member m where m.classid = d.classoid and m.objid = d.objoid)
union all
select 'large object', l.oid::text, concat_ws(' ', md5(lo_get(l.oid)), pg_get_userbyid(lomowner),
  (select string_agg(a::text, ',' order by a::text) from unnest(lomacl) a))
from pg_largeobject_metadata l
