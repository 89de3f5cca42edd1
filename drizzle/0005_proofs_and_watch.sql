CREATE TYPE "public"."proof_outcome" AS ENUM('PROVEN', 'FAILED');--> statement-breakpoint
CREATE TABLE "proof_assertions" (
	"instance_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"name" text NOT NULL,
	"database" text NOT NULL,
	"query" text NOT NULL,
	CONSTRAINT "proof_assertions_instance_id_position_pk" PRIMARY KEY("instance_id","position")
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
ALTER TABLE "backup_instances" ADD COLUMN "verification_due_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "backup_instances" ADD COLUMN "content_anomaly_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "policy_versions" ADD COLUMN "verification" jsonb DEFAULT '{"decode":{"kind":"WITHIN","duration":"P30D"},"restoreEvery":null}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "policy_versions" ADD COLUMN "anomaly_gate" jsonb DEFAULT '{"rows":50,"bytes":50,"tables":50}'::jsonb;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "damage_level" "proof_level";--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "anomalies" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "anomaly_acknowledged_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "anomaly_acknowledged_by" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "anomaly_comment" text;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "verification_tried_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "verification_tried_level" "proof_level";--> statement-breakpoint
ALTER TABLE "recovery_points" ADD COLUMN "verification_tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "scrub_days" integer DEFAULT 30 NOT NULL;--> statement-breakpoint
ALTER TABLE "vaults" ADD COLUMN "scrub_due_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "proof_assertions" ADD CONSTRAINT "proof_assertions_instance_id_backup_instances_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."backup_instances"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_proofs" ADD CONSTRAINT "recovery_point_proofs_recovery_point_id_recovery_points_id_fk" FOREIGN KEY ("recovery_point_id") REFERENCES "public"."recovery_points"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_proofs" ADD CONSTRAINT "recovery_point_proofs_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "recovery_point_proofs_by_point" ON "recovery_point_proofs" USING btree ("recovery_point_id","ended_at","id");--> statement-breakpoint
CREATE INDEX "backup_instances_by_verification" ON "backup_instances" USING btree ("verification_due_at");--> statement-breakpoint
CREATE INDEX "recovery_points_by_read" ON "recovery_points" USING btree ("vault_id",(case when proof = 'WRITTEN' then '-infinity'::timestamptz else greatest(proven_at, last_read_at, decoded_at, restored_at) end)) WHERE marked_at is null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_decode" ON "recovery_points" USING btree ("instance_id",coalesce(greatest(decoded_at, restored_at), created_at)) WHERE marked_at is null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_restore" ON "recovery_points" USING btree ("instance_id","restored_at") WHERE restored_at is not null;--> statement-breakpoint
CREATE INDEX "recovery_points_by_verification" ON "recovery_points" USING btree ("vault_id","verification_tried_at") WHERE verification_tried_at is not null;--> statement-breakpoint
CREATE INDEX "recovery_points_anomalous" ON "recovery_points" USING btree ("instance_id") WHERE (anomalies <> '[]' and anomaly_acknowledged_at is null);