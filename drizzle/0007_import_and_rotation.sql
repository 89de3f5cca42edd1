CREATE TYPE "public"."vault_key_state" AS ENUM('NEXT', 'FORMER');--> statement-breakpoint
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
ALTER TABLE "recovery_points" ALTER COLUMN "job_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "postgres_servers" ALTER COLUMN "username" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "postgres_servers" ALTER COLUMN "sealed_password" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "postgres_servers" ALTER COLUMN "password_set_at" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "recipient" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "manifest_recipient" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "next_manifest_sha256" text;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "recipient_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vault_imports" ADD CONSTRAINT "vault_imports_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "vault_keys" ADD CONSTRAINT "vault_keys_vault_id_vaults_id_fk" FOREIGN KEY ("vault_id") REFERENCES "public"."vaults"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "one_next_key_per_vault" ON "vault_keys" USING btree ("vault_id") WHERE state = 'NEXT';