CREATE TYPE "public"."table_kind" AS ENUM('TABLE', 'PARTITION', 'PARTITIONED_TABLE');--> statement-breakpoint
CREATE TYPE "public"."proof_outcome" AS ENUM('PROVEN', 'FAILED');--> statement-breakpoint
CREATE TYPE "public"."public_network_access" AS ENUM('ENABLED', 'ENABLED_FROM_SELECTED_NETWORKS', 'DISABLED');--> statement-breakpoint
CREATE TYPE "public"."vault_key_state" AS ENUM('NEXT', 'FORMER');--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'VALIDATE_RESTORE';--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'COPY';--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'IMPORT_VAULT';--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'ROTATE_KEY';--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'BACK_UP_METADATA';--> statement-breakpoint
ALTER TYPE "public"."notification_kind" ADD VALUE 'RECOVERY_POINT_SUSPECT';--> statement-breakpoint
ALTER TYPE "public"."notification_kind" ADD VALUE 'CONTENT_ANOMALY';--> statement-breakpoint
ALTER TYPE "public"."notification_kind" ADD VALUE 'COPY_FAILED';--> statement-breakpoint
ALTER TYPE "public"."notification_kind" ADD VALUE 'METADATA_BACKUP_FAILED';--> statement-breakpoint
CREATE TABLE "proof_assertions" (
	"instance_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"name" text NOT NULL,
	"database" text NOT NULL,
	"query" text NOT NULL,
	CONSTRAINT "proof_assertions_instance_id_position_pk" PRIMARY KEY("instance_id","position")
);
--> statement-breakpoint
CREATE TABLE "recovery_point_contents" (
	"id" uuid PRIMARY KEY NOT NULL,
	"recovery_point_id" uuid,
	"job_id" uuid NOT NULL,
	"databases" jsonb NOT NULL,
	"roles" jsonb NOT NULL,
	"recorded_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "recovery_point_contents_recoveryPointId_unique" UNIQUE("recovery_point_id")
);
--> statement-breakpoint
CREATE TABLE "recovery_point_schemas" (
	"contents_id" uuid NOT NULL,
	"database" integer NOT NULL,
	"position" integer NOT NULL,
	"name" text NOT NULL,
	"owner_name" text,
	"first_table" integer NOT NULL,
	"listed_table_count" integer NOT NULL,
	"table_count" integer NOT NULL,
	"row_count" bigint NOT NULL,
	"size_bytes" bigint,
	CONSTRAINT "recovery_point_schemas_contents_id_database_position_pk" PRIMARY KEY("contents_id","database","position")
);
--> statement-breakpoint
CREATE TABLE "recovery_point_tables" (
	"contents_id" uuid NOT NULL,
	"database" integer NOT NULL,
	"position" integer NOT NULL,
	"size_position" integer NOT NULL,
	"schema" text NOT NULL,
	"name" text NOT NULL,
	"kind" "table_kind" NOT NULL,
	"partition_of" jsonb,
	"row_count" bigint NOT NULL,
	"size_bytes" bigint,
	CONSTRAINT "recovery_point_tables_contents_id_database_position_pk" PRIMARY KEY("contents_id","database","position")
);
--> statement-breakpoint
CREATE TABLE "recovery_point_proofs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"recovery_point_id" uuid NOT NULL,
	"level" "proof_level" NOT NULL,
	"outcome" "proof_outcome" NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone NOT NULL,
	"job_id" uuid NOT NULL,
	"checked" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "storage_account_resource_instances" (
	"storage_account_id" uuid NOT NULL,
	"vault_id" uuid NOT NULL,
	CONSTRAINT "storage_account_resource_instances_storage_account_id_vault_id_pk" PRIMARY KEY("storage_account_id","vault_id")
);
--> statement-breakpoint
CREATE TABLE "storage_accounts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"kind" "storage_kind" NOT NULL,
	"location" jsonb NOT NULL,
	"location_key" text NOT NULL,
	"public_network_access" "public_network_access" NOT NULL,
	"allow_trusted_services" boolean NOT NULL,
	"capabilities" jsonb,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "storage_accounts_name_unique" UNIQUE("name"),
	CONSTRAINT "storage_accounts_locationKey_unique" UNIQUE("location_key")
);
--> statement-breakpoint
CREATE TABLE "storage_containers" (
	"id" uuid PRIMARY KEY NOT NULL,
	"storage_account_id" uuid NOT NULL,
	"name" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "one_container_per_account_and_name" UNIQUE("storage_account_id","name")
);
--> statement-breakpoint
CREATE TABLE "key_file_canary" (
	"id" text PRIMARY KEY NOT NULL,
	"sealed" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "vault_imports" (
	"job_id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"location" jsonb NOT NULL,
	"recipient" text NOT NULL,
	"sealed_identity" text NOT NULL,
	"dry_run" boolean NOT NULL
);
--> statement-breakpoint
CREATE TABLE "vault_keys" (
	"vault_id" uuid NOT NULL,
	"recipient" text NOT NULL,
	"sealed_identity" text NOT NULL,
	"state" "vault_key_state" NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"retired_at" timestamp (3) with time zone,
	CONSTRAINT "vault_keys_vault_id_recipient_pk" PRIMARY KEY("vault_id","recipient")
);
--> statement-breakpoint
DROP INDEX "recovery_points_by_expiry";--> statement-breakpoint
DROP INDEX "recovery_points_by_proof";--> statement-breakpoint
ALTER TABLE "recovery_points" ALTER COLUMN "job_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "postgres_servers" ALTER COLUMN "username" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "postgres_servers" ALTER COLUMN "sealed_password" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "postgres_servers" ALTER COLUMN "password_set_at" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "verification_due_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "content_anomaly_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "jobs" ADD COLUMN "kept" jsonb;--> statement-breakpoint
ALTER TABLE "policy_versions" ADD COLUMN "verification" jsonb DEFAULT '{"decode":{"kind":"WITHIN","duration":"P30D"},"restoreEvery":null}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "policy_versions" ADD COLUMN "anomaly_gate" jsonb DEFAULT '{"rows":50,"bytes":50,"tables":50}'::jsonb;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "last_read_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "decoded_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "restored_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "damage_level" "proof_level";--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "anomalies" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "anomaly_acknowledged_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "anomaly_acknowledged_by" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "anomaly_comment" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "verification_tried_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "verification_tried_level" "proof_level";--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "verification_tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "recipient" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "manifest_recipient" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "next_manifest_sha256" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "copy_of_id" uuid;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "copied_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "copy_failures" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "copy_retry_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "scrub_days" integer DEFAULT 30 NOT NULL;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "scrub_due_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "recipient_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "replica_id" uuid;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "replica_retention" text;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "keeps_metadata" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "metadata_backed_up_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "metadata_stored_bytes" bigint;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "metadata_failed_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "metadata_failure" text;--> statement-breakpoint
ALTER TABLE "proof_assertions" ADD CONSTRAINT "proof_assertions_instance_id_backup_instances_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."backup_instances"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_contents" ADD CONSTRAINT "recovery_point_contents_recovery_point_id_recovery_points_id_fk" FOREIGN KEY ("recovery_point_id") REFERENCES "public"."recovery_points"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_schemas" ADD CONSTRAINT "recovery_point_schemas_contents_id_recovery_point_contents_id_fk" FOREIGN KEY ("contents_id") REFERENCES "public"."recovery_point_contents"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_tables" ADD CONSTRAINT "recovery_point_tables_contents_id_recovery_point_contents_id_fk" FOREIGN KEY ("contents_id") REFERENCES "public"."recovery_point_contents"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_proofs" ADD CONSTRAINT "recovery_point_proofs_recovery_point_id_recovery_points_id_fk" FOREIGN KEY ("recovery_point_id") REFERENCES "public"."recovery_points"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_proofs" ADD CONSTRAINT "recovery_point_proofs_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "storage_account_resource_instances" ADD CONSTRAINT "storage_account_resource_instances_storage_account_id_storage_accounts_id_fk" FOREIGN KEY ("storage_account_id") REFERENCES "public"."storage_accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "storage_account_resource_instances" ADD CONSTRAINT "storage_account_resource_instances_vault_id_vaults_id_fk" FOREIGN KEY ("vault_id") REFERENCES "public"."vaults"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "storage_containers" ADD CONSTRAINT "storage_containers_storage_account_id_storage_accounts_id_fk" FOREIGN KEY ("storage_account_id") REFERENCES "public"."storage_accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vault_imports" ADD CONSTRAINT "vault_imports_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vault_keys" ADD CONSTRAINT "vault_keys_vault_id_vaults_id_fk" FOREIGN KEY ("vault_id") REFERENCES "public"."vaults"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "recovery_point_contents_unfinished" ON "recovery_point_contents" USING btree ("job_id") WHERE recovery_point_id is null;--> statement-breakpoint
CREATE INDEX "recovery_point_schemas_by_name" ON "recovery_point_schemas" USING btree ("contents_id","database","name");--> statement-breakpoint
CREATE INDEX "recovery_point_tables_by_size" ON "recovery_point_tables" USING btree ("contents_id","database","size_position","position");--> statement-breakpoint
CREATE INDEX "recovery_point_proofs_by_point" ON "recovery_point_proofs" USING btree ("recovery_point_id","ended_at","id");--> statement-breakpoint
CREATE INDEX "storage_accounts_by_creation" ON "storage_accounts" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "storage_containers_by_creation" ON "storage_containers" USING btree ("created_at","id");--> statement-breakpoint
CREATE UNIQUE INDEX "one_next_key_per_vault" ON "vault_keys" USING btree ("vault_id") WHERE state = 'NEXT';--> statement-breakpoint
ALTER TABLE "vaults" ADD CONSTRAINT "vaults_replica_id_vaults_id_fk" FOREIGN KEY ("replica_id") REFERENCES "public"."vaults"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "backup_instances_by_verification" ON "backup_instances" USING btree ("verification_due_at");--> statement-breakpoint
CREATE INDEX "recovery_points_by_place" ON "recovery_points" USING btree ("instance_id","vault_id","created_at","id");--> statement-breakpoint
CREATE UNIQUE INDEX "one_copy_per_point_and_vault" ON "recovery_points" USING btree ("copy_of_id","vault_id") WHERE copy_of_id is not null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_read" ON "recovery_points" USING btree ("vault_id",(case when proof = 'WRITTEN' then '-infinity'::timestamptz else greatest(proven_at, last_read_at, decoded_at, restored_at) end)) WHERE marked_at is null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_decode" ON "recovery_points" USING btree ("instance_id",coalesce(greatest(decoded_at, restored_at), created_at)) WHERE marked_at is null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_restore" ON "recovery_points" USING btree ("instance_id","restored_at") WHERE restored_at is not null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_verification" ON "recovery_points" USING btree ("vault_id","verification_tried_at") WHERE verification_tried_at is not null;--> statement-breakpoint
CREATE INDEX "recovery_points_anomalous" ON "recovery_points" USING btree ("instance_id") WHERE (anomalies <> '[]' and anomaly_acknowledged_at is null);--> statement-breakpoint
CREATE INDEX "recovery_points_by_expiry" ON "recovery_points" USING btree ("instance_id","expires_at","id","vault_id") WHERE marked_at is null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_proof" ON "recovery_points" USING btree ("instance_id","vault_id","proof","created_at");