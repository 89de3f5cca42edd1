CREATE TYPE "public"."health_status" AS ENUM('HEALTHY', 'DEGRADED', 'UNHEALTHY');--> statement-breakpoint
CREATE TYPE "public"."scheduled_start_outcome" AS ENUM('STARTED', 'SKIPPED');--> statement-breakpoint
CREATE TYPE "public"."stop_reason" AS ENUM('DECOMMISSIONED', 'COST', 'MIGRATED', 'TESTING', 'OTHER');--> statement-breakpoint
CREATE TYPE "public"."channel_kind" AS ENUM('WEBHOOK', 'MAIL');--> statement-breakpoint
CREATE TYPE "public"."delivery_status" AS ENUM('PENDING', 'DELIVERED', 'FAILED');--> statement-breakpoint
CREATE TYPE "public"."notification_kind" AS ENUM('BACKUP_COMPLETED', 'BACKUP_FAILED', 'RESTORE_COMPLETED', 'RESTORE_FAILED', 'CONFIGURE_PROTECTION_FAILED', 'VERIFICATION_FAILED', 'MAINTENANCE_FAILED', 'PROTECTION_OVERDUE', 'PROTECTION_DELETED', 'RECOVERY_POINTS_REMOVED', 'PURGE_NEAR', 'INSTANCE_PURGED', 'EXPIRY_NEEDS_APPROVAL', 'VAULT_NEARLY_FULL', 'VAULT_ORPHANS_FOUND', 'POLICY_SHORTENED', 'CHANNEL_TEST');--> statement-breakpoint
CREATE TYPE "public"."notification_severity" AS ENUM('INFO', 'WARNING', 'ERROR');--> statement-breakpoint
CREATE TYPE "public"."immutability" AS ENUM('DISABLED', 'UNLOCKED', 'LOCKED');--> statement-breakpoint
CREATE TYPE "public"."orphan_kind" AS ENUM('BYTES_WITHOUT_ROW', 'ROW_WITHOUT_BYTES');--> statement-breakpoint
ALTER TYPE "public"."recovery_point_state" ADD VALUE 'REMOVING';--> statement-breakpoint
CREATE TABLE "scheduled_starts" (
	"instance_id" uuid NOT NULL,
	"nominal_at" timestamp (3) with time zone NOT NULL,
	"decided_at" timestamp (3) with time zone NOT NULL,
	"outcome" "scheduled_start_outcome" NOT NULL,
	"job_id" uuid NOT NULL,
	"reason" text,
	"missed_starts" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "scheduled_starts_instance_id_nominal_at_pk" PRIMARY KEY("instance_id","nominal_at")
);
--> statement-breakpoint
CREATE TABLE "notification_channels" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"kind" "channel_kind" NOT NULL,
	"target" jsonb NOT NULL,
	"sealed_secret" text,
	"secret_set_at" timestamp (3) with time zone,
	"kinds" "notification_kind"[],
	"min_severity" "notification_severity" NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "notification_channels_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "notification_deliveries" (
	"id" uuid PRIMARY KEY NOT NULL,
	"channel_id" uuid NOT NULL,
	"notification_id" uuid NOT NULL,
	"status" "delivery_status" NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"next_attempt_at" timestamp (3) with time zone NOT NULL,
	"last_attempt_at" timestamp (3) with time zone,
	"last_result" text,
	"delivered_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "notifications" (
	"id" uuid PRIMARY KEY NOT NULL,
	"transaction_id" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"sequence" bigint GENERATED ALWAYS AS IDENTITY (sequence name "notifications_sequence_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp (3) with time zone NOT NULL,
	"kind" "notification_kind" NOT NULL,
	"severity" "notification_severity" NOT NULL,
	"message" text NOT NULL,
	"recommended_actions" jsonb NOT NULL,
	"instance_id" uuid,
	"vault_id" uuid,
	"policy_id" uuid,
	"job_id" uuid,
	"subject_name" text,
	"once_key" text
);
--> statement-breakpoint
CREATE TABLE "policy_versions" (
	"policy_id" uuid NOT NULL,
	"version" integer NOT NULL,
	"time_zone" text NOT NULL,
	"schedule" jsonb,
	"default_retention" text NOT NULL,
	"retention_rules" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"created_by" text NOT NULL,
	CONSTRAINT "policy_versions_policy_id_version_pk" PRIMARY KEY("policy_id","version")
);
--> statement-breakpoint
CREATE TABLE "vault_orphans" (
	"vault_id" uuid NOT NULL,
	"prefix" text NOT NULL,
	"kind" "orphan_kind" NOT NULL,
	"instance_id" uuid NOT NULL,
	"recovery_point_id" uuid,
	"object_count" integer NOT NULL,
	"size_bytes" bigint NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"last_seen_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "vault_orphans_vault_id_prefix_pk" PRIMARY KEY("vault_id","prefix")
);
--> statement-breakpoint
DROP INDEX "audit_records_by_subject";--> statement-breakpoint
ALTER TABLE "audit_records" ADD COLUMN "before" jsonb;--> statement-breakpoint
ALTER TABLE "audit_records" ADD COLUMN "after" jsonb;--> statement-breakpoint
-- Every policy of before becomes its own first version: on demand, in UTC, with no rule but the default one.
INSERT INTO "policy_versions" ("policy_id", "version", "time_zone", "schedule", "default_retention", "retention_rules", "created_at", "created_by")
	SELECT "id", 1, 'UTC', null, "default_retention", '[]', "created_at", 'holdfast' FROM "backup_policies";--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "policy_version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "backup_instances" ALTER COLUMN "policy_version" DROP DEFAULT;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "stop_reason" "stop_reason";--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "stop_comment" text;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "deleted_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "scheduled_purge_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "purge_started_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "jitter" double precision DEFAULT random() NOT NULL;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "next_nominal_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "next_backup_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "overdue_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "last_tagged_at" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "expiry_due_at" timestamp (3) with time zone;--> statement-breakpoint
-- Nothing expired before: from now on points go when their own time is over, under the guards.
UPDATE "backup_instances" SET "expiry_due_at" = (SELECT min("expires_at") FROM "recovery_points" WHERE "recovery_points"."instance_id" = "backup_instances"."id");--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "expiry_blocked_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "expiry_blocked_count" integer;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "expiry_approved_through" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "health" "health_status" DEFAULT 'HEALTHY' NOT NULL;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "health_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "failures_in_a_row" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "scheduled_for" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_policies" ADD COLUMN "version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "policy_name" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ALTER COLUMN "policy_name" DROP DEFAULT;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "policy_version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ALTER COLUMN "policy_version" DROP DEFAULT;--> statement-breakpoint
-- No policy could be changed before: the one that an instance follows made all of its points.
UPDATE "recovery_points" SET "policy_name" = "backup_policies"."name" FROM "backup_instances", "backup_policies"
	WHERE "backup_instances"."id" = "recovery_points"."instance_id" AND "backup_policies"."id" = "backup_instances"."policy_id";--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "is_tag_requested" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "held_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "held_by" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "hold_reason" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "hold_until" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "marked_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "mark_reason" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "sweep_started_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "soft_delete_days" integer DEFAULT 14 NOT NULL;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "immutability" "immutability" DEFAULT 'DISABLED' NOT NULL;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "expiry_share_limit_percent" integer DEFAULT 50 NOT NULL;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "free_bytes" bigint;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "space_checked_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "scheduled_starts" ADD CONSTRAINT "scheduled_starts_instance_id_backup_instances_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."backup_instances"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "notification_deliveries" ADD CONSTRAINT "notification_deliveries_channel_id_notification_channels_id_fk" FOREIGN KEY ("channel_id") REFERENCES "public"."notification_channels"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "notification_deliveries" ADD CONSTRAINT "notification_deliveries_notification_id_notifications_id_fk" FOREIGN KEY ("notification_id") REFERENCES "public"."notifications"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "policy_versions" ADD CONSTRAINT "policy_versions_policy_id_backup_policies_id_fk" FOREIGN KEY ("policy_id") REFERENCES "public"."backup_policies"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vault_orphans" ADD CONSTRAINT "vault_orphans_vault_id_vaults_id_fk" FOREIGN KEY ("vault_id") REFERENCES "public"."vaults"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "notification_channels_by_creation" ON "notification_channels" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "notification_deliveries_due" ON "notification_deliveries" USING btree ("next_attempt_at","id") WHERE status = 'PENDING';--> statement-breakpoint
CREATE INDEX "notification_deliveries_by_channel" ON "notification_deliveries" USING btree ("channel_id","created_at","id");--> statement-breakpoint
CREATE UNIQUE INDEX "one_delivery_per_channel_and_notification" ON "notification_deliveries" USING btree ("channel_id","notification_id");--> statement-breakpoint
CREATE UNIQUE INDEX "notifications_in_feed_order" ON "notifications" USING btree ("transaction_id","sequence");--> statement-breakpoint
CREATE UNIQUE INDEX "notifications_told_once" ON "notifications" USING btree ("once_key");--> statement-breakpoint
CREATE INDEX "notifications_by_time" ON "notifications" USING btree ("at","id");--> statement-breakpoint
CREATE INDEX "notifications_by_instance" ON "notifications" USING btree ("instance_id","at","id");--> statement-breakpoint
CREATE INDEX "vault_orphans_by_instance" ON "vault_orphans" USING btree ("instance_id");--> statement-breakpoint
ALTER TABLE "backup_instances" ADD CONSTRAINT "backup_instances_follow_a_policy_version" FOREIGN KEY ("policy_id","policy_version") REFERENCES "public"."policy_versions"("policy_id","version") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_records_by_actor" ON "audit_records" USING btree ("actor","at","id");--> statement-breakpoint
CREATE INDEX "audit_records_by_action" ON "audit_records" USING btree ("action","at","id");--> statement-breakpoint
CREATE INDEX "backup_instances_by_next_backup" ON "backup_instances" USING btree ("next_backup_at") WHERE next_backup_at is not null;--> statement-breakpoint
CREATE INDEX "backup_instances_by_overdue" ON "backup_instances" USING btree ("overdue_at") WHERE overdue_at is not null;--> statement-breakpoint
CREATE INDEX "backup_instances_by_expiry" ON "backup_instances" USING btree ("expiry_due_at") WHERE expiry_due_at is not null;--> statement-breakpoint
CREATE INDEX "backup_instances_by_purge" ON "backup_instances" USING btree ("scheduled_purge_at") WHERE scheduled_purge_at is not null;--> statement-breakpoint
CREATE INDEX "jobs_pending_by_instance" ON "jobs" USING btree ("instance_id") WHERE status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING');--> statement-breakpoint
CREATE INDEX "jobs_pending_by_recovery_point" ON "jobs" USING btree ("recovery_point_id") WHERE status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING');--> statement-breakpoint
CREATE INDEX "recovery_points_by_expiry" ON "recovery_points" USING btree ("instance_id","expires_at","id") WHERE marked_at is null;--> statement-breakpoint
CREATE INDEX "recovery_points_marked" ON "recovery_points" USING btree ("instance_id","marked_at") WHERE marked_at is not null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_proof" ON "recovery_points" USING btree ("instance_id","proof","created_at");--> statement-breakpoint
CREATE INDEX "audit_records_by_subject" ON "audit_records" USING btree ("subject_id","at","id");--> statement-breakpoint
ALTER TABLE "backup_policies" DROP COLUMN "default_retention";