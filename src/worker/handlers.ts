import type { Handlers } from '../job/handler.ts'
import { backUpHandler } from './back-up.ts'
import { configureProtectionHandler } from './configure-protection.ts'
import type { WorkerContext } from './context.ts'
import { backUpMetadataHandler } from './metadata/back-up-metadata.ts'
import { expireHandler } from './removal/expire.ts'
import { purgeHandler } from './removal/purge.ts'
import { restoreHandler } from './restore/restore.ts'
import { importVaultHandler } from './vault/import-vault.ts'
import { rotateKeyHandler } from './vault/rotate-key.ts'
import { verifyHandler } from './verify.ts'

/** What a worker performs: one handler per kind of job. */
export function handlersOf(context: WorkerContext): Handlers {
  return {
    BACKUP: backUpHandler(context),
    RESTORE: restoreHandler(context),
    CONFIGURE_PROTECTION: configureProtectionHandler(context),
    VERIFY: verifyHandler(context),
    EXPIRE: expireHandler(context),
    PURGE: purgeHandler(context),
    IMPORT_VAULT: importVaultHandler(context),
    ROTATE_KEY: rotateKeyHandler(context),
    BACK_UP_METADATA: backUpMetadataHandler(context),
  }
}
