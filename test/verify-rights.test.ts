import { chmod, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect } from 'vitest'
import { createDatabase, run } from './kit/engine.ts'
import { startService } from './kit/protected-server.ts'
import { test } from './kit/test.ts'
import { backedUp, verify } from './kit/verify.ts'

describe('the role that restores into a scratch server', { timeout: 120_000 }, () => {
  test('can give itself no right to run programs or to read files, whatever the code of a table owner tries', async ({
    databaseUrl,
    folder,
    source,
  }) => {
    await using service = await startService({ databaseUrl, folder })
    const place = join(folder, 'place')
    await mkdir(place)
    await chmod(place, 0o777)
    const write = (name: string) => `copy (select 1) to program 'cat > ${join(place, name)}'`
    // What the test looks for would be seen: a server's program can write there.
    await run(source, 'postgres', write('control'))
    expect(await readdir(place)).toEqual(['control'])

    await run(
      source,
      'postgres',
      `create role app login password 'app'; create role "ad min" createrole createdb replication bypassrls;
       create role runner; grant pg_execute_server_program, pg_read_server_files, pg_write_server_files to runner;
       grant runner to "ad min"`,
    )
    const attempt = (name: string, first: string) => `
      begin
        ${first};
        ${write(name)};
      exception when others then null;
      end;
      reset role;`
    const shop = await createDatabase(source, 'grant create on schema public to app')
    await run(
      { ...source, superuser: 'app', password: 'app' },
      shop,
      `create function check_it(i int) returns bool language plpgsql as $$ begin
         ${attempt('granted', "execute 'grant pg_execute_server_program to ' || quote_ident(current_user)")}
         ${attempt('new-role', "execute 'create role mine in role pg_execute_server_program'; execute 'set role mine'")}
         ${attempt('runner', 'set role runner')}
         ${attempt('admin', `set role "ad min"; execute 'grant pg_execute_server_program to ' || quote_ident(current_user)`)}
         ${attempt('written', "execute 'grant pg_write_server_files to ' || quote_ident(current_user)")}
         return true;
       end $$;
       create table t (i int check (check_it(i)));
       insert into t values (1)`,
    )
    await run(source, shop, 'create policy of_the_app on t to app, "ad min" using (true)')
    expect(await readdir(place)).toEqual(['control'])

    const made = await backedUp(service, source, folder)
    const ended = await verify(service, made.point, 'RESTORED')
    expect(await readdir(place)).toEqual(['control'])
    expect(ended).toMatchObject({ status: 'COMPLETED', error: null, warnings: [] })
  })
})
