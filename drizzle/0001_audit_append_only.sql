CREATE FUNCTION "refuse_change_of_audit_records"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'audit records are append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
--> statement-breakpoint
CREATE TRIGGER "audit_records_are_append_only"
	BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_records"
	FOR EACH STATEMENT EXECUTE FUNCTION "refuse_change_of_audit_records"();
--> statement-breakpoint
ALTER TABLE "audit_records" ENABLE ALWAYS TRIGGER "audit_records_are_append_only";
