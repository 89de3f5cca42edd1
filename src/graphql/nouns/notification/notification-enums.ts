import type { ChannelKind } from '../../../notification/channel/channel.ts'
import type { DeliveryStatus } from '../../../notification/delivery/delivery.ts'
import type { NotificationKind as Kind, NotificationSeverity as Severity } from '../../../notification/record.ts'
import { enumeration } from '../../schema/enumeration.ts'

export const NotificationKind = enumeration<Kind>('NotificationKind', 'What a notification tells of.', {
  BACKUP_COMPLETED: 'A backup made a recovery point; with severity WARNING when something about it deserves a look.',
  BACKUP_FAILED: 'A backup failed in every attempt and made no recovery point.',
  RESTORE_COMPLETED: 'A restore was completed; with severity WARNING when something about it deserves a look.',
  RESTORE_FAILED: 'A restore failed; databases that it had restored were removed again.',
  CONFIGURE_PROTECTION_FAILED: 'The checks before protection failed, so that nothing is backed up.',
  VERIFICATION_FAILED: 'A recovery point could not be shown to be good.',
  MAINTENANCE_FAILED: 'Expired or deleted data could not be removed.',
  PROTECTION_OVERDUE: 'The last proven recovery point is older than the schedule allows.',
  PROTECTION_DELETED: 'A backup instance was deleted with its data.',
  RECOVERY_POINTS_REMOVED: 'Recovery points were removed because their time was over.',
  PURGE_NEAR: 'The data of a deleted backup instance will soon be gone for ever.',
  INSTANCE_PURGED: 'A deleted backup instance is gone with all its data.',
  EXPIRY_NEEDS_APPROVAL: 'An expiry run would have removed too large a share of the recovery points, and waits.',
  VAULT_NEARLY_FULL: 'A vault has little space left, by the size of the latest recovery points in it.',
  VAULT_ORPHANS_FOUND: 'What a vault holds and what is known of it disagree.',
  POLICY_SHORTENED:
    'A policy keeps new recovery points for a shorter time than before, or guards them less: by verifications or the anomaly gate.',
  CHANNEL_TEST: 'Somebody tests a notification channel.',
  RECOVERY_POINT_SUSPECT: 'A recovery point was found damaged, or could not be restored: it is SUSPECT now.',
  CONTENT_ANOMALY:
    'A new recovery point holds much less than the last proven one: nothing expires until somebody has looked.',
  COPY_FAILED: 'The second copy of a recovery point could not be made.',
  METADATA_BACKUP_FAILED: "Holdfast's own metadata could not be written into a vault.",
  RECOVERY_KEY_NOT_EXPORTED:
    'A vault holds recovery points, and nobody has exported the recovery key that opens them without this service; told once a week.',
})

export const NotificationSeverity = enumeration<Severity>(
  'NotificationSeverity',
  'How much a notification matters; each severity is greater than the one before it.',
  {
    INFO: 'Something went as it was meant to.',
    WARNING: 'Something deserves a look before it becomes a failure.',
    ERROR: 'Something failed, and somebody has to act.',
  },
)

export const NotificationChannelKind = enumeration<ChannelKind>(
  'NotificationChannelKind',
  'How a channel delivers notifications.',
  {
    WEBHOOK: 'Each is posted to a URL as signed JSON.',
    MAIL: 'Each is sent as a mail.',
  },
)

export const NotificationDeliveryStatus = enumeration<DeliveryStatus>(
  'NotificationDeliveryStatus',
  'How far one notification has come on its way to one channel.',
  {
    PENDING: 'It was not taken yet, and is tried until it is or until it is given up.',
    DELIVERED: 'The webhook answered with success, or the mail server took it.',
    FAILED: 'It was given up, a day after it was made.',
  },
)
