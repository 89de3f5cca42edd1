CREATE TYPE "public"."public_network_access" AS ENUM('ENABLED', 'ENABLED_FROM_SELECTED_NETWORKS', 'DISABLED');--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'VALIDATE_RESTORE';--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'COPY';--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'IMPORT_VAULT';--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'ROTATE_KEY';--> statement-breakpoint
ALTER TYPE "public"."job_operation" ADD VALUE 'BACK_UP_METADATA';--> statement-breakpoint
ALTER TYPE "public"."notification_kind" ADD VALUE 'RECOVERY_POINT_SUSPECT';--> statement-breakpoint
ALTER TYPE "public"."notification_kind" ADD VALUE 'CONTENT_ANOMALY';--> statement-breakpoint
ALTER TYPE "public"."notification_kind" ADD VALUE 'COPY_FAILED';--> statement-breakpoint
ALTER TYPE "public"."notification_kind" ADD VALUE 'METADATA_BACKUP_FAILED';--> statement-breakpoint
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
ALTER TABLE "recovery_points" ADD COLUMN "last_read_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "decoded_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "restored_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "storage_account_resource_instances" ADD CONSTRAINT "storage_account_resource_instances_storage_account_id_storage_accounts_id_fk" FOREIGN KEY ("storage_account_id") REFERENCES "public"."storage_accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "storage_account_resource_instances" ADD CONSTRAINT "storage_account_resource_instances_vault_id_vaults_id_fk" FOREIGN KEY ("vault_id") REFERENCES "public"."vaults"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "storage_containers" ADD CONSTRAINT "storage_containers_storage_account_id_storage_accounts_id_fk" FOREIGN KEY ("storage_account_id") REFERENCES "public"."storage_accounts"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "storage_accounts_by_creation" ON "storage_accounts" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "storage_containers_by_creation" ON "storage_containers" USING btree ("created_at","id");