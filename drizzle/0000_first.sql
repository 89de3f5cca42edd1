CREATE TYPE "public"."protection_state" AS ENUM('CONFIGURING_PROTECTION', 'CONFIGURING_PROTECTION_FAILED', 'PROTECTION_CONFIGURED', 'PROTECTION_STOPPED', 'BACKUP_SCHEDULES_SUSPENDED', 'SOFT_DELETED');--> statement-breakpoint
CREATE TYPE "public"."job_event_type" AS ENUM('QUEUED', 'STARTED', 'PROGRESSED', 'SUB_TASK_CHANGED', 'WARNED', 'NOTED', 'CANCEL_REQUESTED', 'RETRY_SCHEDULED', 'RESCUED', 'HANDED_BACK', 'ENDED');--> statement-breakpoint
CREATE TYPE "public"."job_operation" AS ENUM('BACKUP', 'RESTORE', 'CONFIGURE_PROTECTION', 'VERIFY', 'EXPIRE', 'PURGE');--> statement-breakpoint
CREATE TYPE "public"."job_status" AS ENUM('QUEUED', 'IN_PROGRESS', 'CANCELLING', 'COMPLETED', 'COMPLETED_WITH_WARNINGS', 'FAILED', 'CANCELLED');--> statement-breakpoint
CREATE TYPE "public"."job_trigger" AS ENUM('USER', 'SCHEDULE', 'SYSTEM');--> statement-breakpoint
CREATE TYPE "public"."sub_task_status" AS ENUM('NOT_STARTED', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED');--> statement-breakpoint
CREATE TYPE "public"."proof_level" AS ENUM('WRITTEN', 'READ_BACK', 'DECODED', 'RESTORED');--> statement-breakpoint
CREATE TYPE "public"."recovery_point_state" AS ENUM('AVAILABLE', 'SUSPECT');--> statement-breakpoint
CREATE TYPE "public"."retention_tag" AS ENUM('DEFAULT', 'DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY');--> statement-breakpoint
CREATE TYPE "public"."tls_mode" AS ENUM('DISABLE', 'REQUIRE', 'VERIFY_CA', 'VERIFY_FULL');--> statement-breakpoint
CREATE TYPE "public"."storage_kind" AS ENUM('DIRECTORY');--> statement-breakpoint
CREATE TABLE "audit_records" (
	"id" uuid PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"subject_kind" text NOT NULL,
	"subject_id" uuid NOT NULL,
	"subject_name" text NOT NULL,
	"reason" text,
	"detail" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "backup_instances" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"server_id" uuid NOT NULL,
	"vault_id" uuid NOT NULL,
	"policy_id" uuid NOT NULL,
	"state" "protection_state" NOT NULL,
	"state_since" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "backup_instances_name_unique" UNIQUE("name"),
	CONSTRAINT "one_instance_per_server_and_vault" UNIQUE("server_id","vault_id")
);
--> statement-breakpoint
CREATE TABLE "job_events" (
	"job_id" uuid NOT NULL,
	"sequence" integer NOT NULL,
	"transaction_id" "xid8" NOT NULL,
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "job_events_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp (3) with time zone NOT NULL,
	"type" "job_event_type" NOT NULL,
	"status" "job_status" NOT NULL,
	"attempt" integer NOT NULL,
	"data" jsonb NOT NULL,
	CONSTRAINT "job_events_job_id_sequence_pk" PRIMARY KEY("job_id","sequence")
);
--> statement-breakpoint
CREATE TABLE "job_sub_tasks" (
	"job_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"position" integer NOT NULL,
	"name" text NOT NULL,
	"status" "sub_task_status" NOT NULL,
	"bytes_done" bigint DEFAULT 0 NOT NULL,
	"bytes_total" bigint,
	"started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "job_sub_tasks_job_id_attempt_position_pk" PRIMARY KEY("job_id","attempt","position")
);
--> statement-breakpoint
CREATE TABLE "jobs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"operation" "job_operation" NOT NULL,
	"status" "job_status" NOT NULL,
	"trigger" "job_trigger" NOT NULL,
	"input" jsonb NOT NULL,
	"instance_id" uuid,
	"vault_id" uuid,
	"server_id" uuid,
	"recovery_point_id" uuid,
	"instance_name" text,
	"policy_name" text,
	"exclusive_key" text,
	"lanes" text[] DEFAULT '{}' NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"hand_backs" integer DEFAULT 0 NOT NULL,
	"clean_ups" integer DEFAULT 0 NOT NULL,
	"max_attempts" integer NOT NULL,
	"may_have_leftovers" boolean DEFAULT false NOT NULL,
	"run_at" timestamp (3) with time zone NOT NULL,
	"worker_id" text,
	"lease_until" timestamp (3) with time zone,
	"cancel_requested_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	"created_by" text NOT NULL,
	"started_at" timestamp (3) with time zone,
	"attempt_started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	"bytes_done" bigint DEFAULT 0 NOT NULL,
	"bytes_total" bigint,
	"rows_done" bigint DEFAULT 0 NOT NULL,
	"rows_total" bigint,
	"progress_at" timestamp (3) with time zone,
	"notes" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"warnings" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"error" jsonb,
	"result" jsonb,
	"event_sequence" integer DEFAULT 0 NOT NULL,
	"event_transaction_id" "xid8" DEFAULT pg_current_xact_id() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "backup_policies" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"default_retention" text NOT NULL,
	"is_built_in" boolean DEFAULT false NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "backup_policies_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "recovery_points" (
	"id" uuid PRIMARY KEY NOT NULL,
	"instance_id" uuid NOT NULL,
	"vault_id" uuid NOT NULL,
	"job_id" uuid NOT NULL,
	"prefix" text NOT NULL,
	"state" "recovery_point_state" NOT NULL,
	"damage" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"tag" "retention_tag" NOT NULL,
	"point_in_time" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"proof" "proof_level" NOT NULL,
	"proven_at" timestamp (3) with time zone NOT NULL,
	"manifest_sha256" text NOT NULL,
	"server_version_number" integer NOT NULL,
	"tool_major" integer NOT NULL,
	"source_bytes" bigint NOT NULL,
	"stored_bytes" bigint NOT NULL,
	"databases" jsonb NOT NULL,
	CONSTRAINT "recovery_points_jobId_unique" UNIQUE("job_id"),
	CONSTRAINT "recovery_points_prefix_unique" UNIQUE("prefix")
);
--> statement-breakpoint
CREATE TABLE "postgres_servers" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"host" text NOT NULL,
	"port" integer NOT NULL,
	"username" text NOT NULL,
	"sealed_password" text NOT NULL,
	"password_set_at" timestamp (3) with time zone NOT NULL,
	"maintenance_database" text NOT NULL,
	"tls_mode" "tls_mode" NOT NULL,
	"ca_certificate" text,
	"version_number" integer,
	"inspected_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "postgres_servers_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "vaults" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"kind" "storage_kind" NOT NULL,
	"location" jsonb NOT NULL,
	"location_key" text NOT NULL,
	"recipient" text NOT NULL,
	"sealed_identity" text NOT NULL,
	"recovery_key_exported_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "vaults_name_unique" UNIQUE("name"),
	CONSTRAINT "vaults_locationKey_unique" UNIQUE("location_key")
);
--> statement-breakpoint
ALTER TABLE "backup_instances" ADD CONSTRAINT "backup_instances_server_id_postgres_servers_id_fk" FOREIGN KEY ("server_id") REFERENCES "public"."postgres_servers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD CONSTRAINT "backup_instances_vault_id_vaults_id_fk" FOREIGN KEY ("vault_id") REFERENCES "public"."vaults"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD CONSTRAINT "backup_instances_policy_id_backup_policies_id_fk" FOREIGN KEY ("policy_id") REFERENCES "public"."backup_policies"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "job_events" ADD CONSTRAINT "job_events_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "job_sub_tasks" ADD CONSTRAINT "job_sub_tasks_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD CONSTRAINT "recovery_points_instance_id_backup_instances_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."backup_instances"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD CONSTRAINT "recovery_points_vault_id_vaults_id_fk" FOREIGN KEY ("vault_id") REFERENCES "public"."vaults"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD CONSTRAINT "recovery_points_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_records_by_time" ON "audit_records" USING btree ("at","id");--> statement-breakpoint
CREATE INDEX "audit_records_by_subject" ON "audit_records" USING btree ("subject_id","at");--> statement-breakpoint
CREATE INDEX "backup_instances_by_creation" ON "backup_instances" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "backup_instances_by_vault" ON "backup_instances" USING btree ("vault_id");--> statement-breakpoint
CREATE INDEX "backup_instances_by_policy" ON "backup_instances" USING btree ("policy_id");--> statement-breakpoint
CREATE UNIQUE INDEX "job_events_in_feed_order" ON "job_events" USING btree ("transaction_id","id");--> statement-breakpoint
CREATE UNIQUE INDEX "one_pending_job_per_exclusive_key" ON "jobs" USING btree ("exclusive_key") WHERE status in ('QUEUED', 'IN_PROGRESS', 'CANCELLING');--> statement-breakpoint
CREATE INDEX "jobs_claimable" ON "jobs" USING btree ("run_at","id") WHERE status in ('QUEUED', 'CANCELLING');--> statement-breakpoint
CREATE INDEX "jobs_leased" ON "jobs" USING btree ("lease_until") WHERE status in ('IN_PROGRESS', 'CANCELLING');--> statement-breakpoint
CREATE INDEX "jobs_by_creation" ON "jobs" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "jobs_by_instance" ON "jobs" USING btree ("instance_id","created_at","id");--> statement-breakpoint
CREATE INDEX "jobs_by_vault" ON "jobs" USING btree ("vault_id","created_at","id");--> statement-breakpoint
CREATE INDEX "recovery_points_by_instance" ON "recovery_points" USING btree ("instance_id","created_at","id");--> statement-breakpoint
CREATE INDEX "recovery_points_by_creation" ON "recovery_points" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "recovery_points_by_vault" ON "recovery_points" USING btree ("vault_id");