import postgres from 'postgres'

/** Columns of a job that is done, made of `instance` and the number `i` of days ago. */
const job = `instance.id, 'BACKUP', case when i % 9 = 4 then 'FAILED' else 'COMPLETED' end::job_status, 'SCHEDULE', '{}',
  instance.vault_id, instance.server_id, instance.name, 'nightly', 1, 3, now() - i * interval '6 hours',
  now() - i * interval '6 hours', 'holdfast', now() - i * interval '6 hours', now() - i * interval '6 hours' + interval '3 minutes',
  1000000000, case when i % 9 = 4 then '{"code":"SERVER_UNREACHABLE","message":"","recommendedActions":[],"isUserError":true,"isRetryable":true,"details":null}'::jsonb end`

/**
 * Fills an empty catalogue by statements of its own: instances of one vault and the built-in policy, each with its server.
 * The newest have 20 points and 30 jobs each, of the last days; all the others one point and two jobs.
 */
export async function seedHistory(
  url: string,
  { instances, withHistory }: { instances: number; withHistory: number },
): Promise<{ points: number; jobs: number }> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await sql.unsafe(`
      insert into vaults (id, name, kind, location, location_key, recipient, sealed_identity, created_at)
      values (gen_random_uuid(), 'main', 'DIRECTORY', '{"kind":"DIRECTORY","path":"/backups"}', 'directory:/backups', 'age1', 'sealed', now())`)
    await sql.unsafe(`
      insert into postgres_servers (id, name, host, port, username, sealed_password, password_set_at, maintenance_database, tls_mode, created_at)
      select gen_random_uuid(), 'db ' || i, 'db.example.com', 5432, 'backup', 'sealed', now(), 'postgres', 'REQUIRE', now()
      from generate_series(1, ${instances}) i`)
    await sql.unsafe(`
      insert into backup_instances (id, name, server_id, vault_id, policy_id, policy_version, state, state_since, created_at,
        next_nominal_at, next_backup_at, overdue_at)
      select gen_random_uuid(), server.name || ' in main', server.id, vault.id, policy.id, 1, 'PROTECTION_CONFIGURED', now(),
        now() - server.place * interval '1 second', now() + interval '5 hours', now() + interval '5 hours',
        now() + (server.place % 100) * interval '1 hour' - interval '30 minutes'
      from (select *, row_number() over () as place from postgres_servers) server, vaults vault, backup_policies policy`)
    await sql.unsafe(
      'create temporary table chosen as select *, row_number() over (order by created_at desc) as place from backup_instances',
    )
    const jobsOf = (which: string, last: number) =>
      sql.unsafe(`
      insert into jobs (id, instance_id, operation, status, trigger, input, vault_id, server_id, instance_name, policy_name,
        attempt, max_attempts, run_at, created_at, created_by, started_at, ended_at, bytes_done, error)
      select gen_random_uuid(), ${job} from chosen instance, generate_series(1, ${last}) i where ${which}`)
    await jobsOf(`place <= ${withHistory}`, 30)
    await jobsOf(`place > ${withHistory}`, 2)
    await sql.unsafe(`
      insert into recovery_points (id, instance_id, vault_id, job_id, prefix, state, tag, policy_name, policy_version,
        point_in_time, created_at, expires_at, proof, proven_at, manifest_sha256, server_version_number, tool_major,
        source_bytes, stored_bytes, databases)
      select gen_random_uuid(), instance_id, vault_id, id, 'points/' || instance_id || '/' || id || '.1/', 'AVAILABLE', 'DEFAULT',
        'nightly', 1, created_at, created_at, created_at + interval '30 days', 'READ_BACK', created_at, repeat('0', 64), 150006, 15,
        5000000000, 1000000000, '[{"name":"shop","sourceBytes":5000000000,"storedBytes":1000000000,"tableCount":7,"rowCount":3000000}]'
      from (select *, row_number() over (partition by instance_id order by created_at desc) as place from jobs where status = 'COMPLETED') job
      where place <= 20 and (place = 1 or exists (select 1 from chosen where chosen.id = instance_id and chosen.place <= ${withHistory}))`)
    await sql.unsafe('vacuum analyze')
    const [counted] = await sql.unsafe(
      'select (select count(*) from recovery_points) as points, (select count(*) from jobs) as jobs',
    )
    return { points: Number(counted?.points), jobs: Number(counted?.jobs) }
  } finally {
    await sql.end()
  }
}
