DROP INDEX "recovery_points_by_expiry";--> statement-breakpoint
DROP INDEX "recovery_points_by_proof";--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "copy_of_id" uuid;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "copied_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "copy_failures" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "copy_retry_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "replica_id" uuid;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "replica_retention" text;--> statement-breakpoint
ALTER TABLE "vaults" ADD CONSTRAINT "vaults_replica_id_vaults_id_fk" FOREIGN KEY ("replica_id") REFERENCES "public"."vaults"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "recovery_points_by_place" ON "recovery_points" USING btree ("instance_id","vault_id","created_at","id");--> statement-breakpoint
CREATE UNIQUE INDEX "one_copy_per_point_and_vault" ON "recovery_points" USING btree ("copy_of_id","vault_id") WHERE copy_of_id is not null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_expiry" ON "recovery_points" USING btree ("instance_id","expires_at","id","vault_id") WHERE marked_at is null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_proof" ON "recovery_points" USING btree ("instance_id","vault_id","proof","created_at");