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
ALTER TABLE "recovery_points" ADD COLUMN "damage_level" "proof_level";--> statement-breakpoint
ALTER TABLE "proof_assertions" ADD CONSTRAINT "proof_assertions_instance_id_backup_instances_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."backup_instances"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_proofs" ADD CONSTRAINT "recovery_point_proofs_recovery_point_id_recovery_points_id_fk" FOREIGN KEY ("recovery_point_id") REFERENCES "public"."recovery_points"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_proofs" ADD CONSTRAINT "recovery_point_proofs_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "recovery_point_proofs_by_point" ON "recovery_point_proofs" USING btree ("recovery_point_id","ended_at","id");