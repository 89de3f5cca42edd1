ALTER TYPE "public"."storage_kind" ADD VALUE 'S3';--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "capabilities" jsonb;