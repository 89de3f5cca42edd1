CREATE TYPE "public"."table_kind" AS ENUM('TABLE', 'PARTITION', 'PARTITIONED_TABLE');--> statement-breakpoint
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
ALTER TABLE "recovery_point_contents" ADD CONSTRAINT "recovery_point_contents_recovery_point_id_recovery_points_id_fk" FOREIGN KEY ("recovery_point_id") REFERENCES "public"."recovery_points"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_schemas" ADD CONSTRAINT "recovery_point_schemas_contents_id_recovery_point_contents_id_fk" FOREIGN KEY ("contents_id") REFERENCES "public"."recovery_point_contents"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "recovery_point_tables" ADD CONSTRAINT "recovery_point_tables_contents_id_recovery_point_contents_id_fk" FOREIGN KEY ("contents_id") REFERENCES "public"."recovery_point_contents"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "recovery_point_contents_unfinished" ON "recovery_point_contents" USING btree ("job_id") WHERE recovery_point_id is null;--> statement-breakpoint
CREATE INDEX "recovery_point_schemas_by_name" ON "recovery_point_schemas" USING btree ("contents_id","database","name");--> statement-breakpoint
CREATE INDEX "recovery_point_tables_by_size" ON "recovery_point_tables" USING btree ("contents_id","database","size_position","position");