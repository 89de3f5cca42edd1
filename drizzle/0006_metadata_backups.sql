ALTER TABLE "vaults" ADD COLUMN "keeps_metadata" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "metadata_backed_up_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "metadata_stored_bytes" bigint;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "metadata_failed_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "metadata_failure" text;