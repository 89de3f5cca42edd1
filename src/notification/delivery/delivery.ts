import type { notificationDeliveries } from '../../database/tables/notification.ts'

/** One notification on its way to one channel. */
export type NotificationDelivery = typeof notificationDeliveries.$inferSelect
export type DeliveryStatus = NotificationDelivery['status']
