ALTER TYPE "public"."notification_kind" ADD VALUE 'RECOVERY_KEY_NOT_EXPORTED';--> statement-breakpoint
CREATE TABLE "feed_epochs" (
	"id" integer PRIMARY KEY DEFAULT 1 NOT NULL,
	"epoch" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "removal_rests" (
	"id" text PRIMARY KEY NOT NULL,
	"begun_at" timestamp (3) with time zone NOT NULL,
	"ends_at" timestamp (3) with time zone NOT NULL,
	"reason" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "worker_sightings" (
	"id" integer PRIMARY KEY DEFAULT 1 NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "recovery_points_suspect" ON "recovery_points" USING btree ("created_at","id") WHERE state = 'SUSPECT';