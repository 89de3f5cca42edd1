-- Roles of the sample server: owners, groups, people with awkward names, memberships, settings of their own.
create role shop_owner nologin;
create role shop_reader nologin;
create role shop_app login password 'sample-shop-app' connection limit 20;
create role "Analyst ""Zoë""" login password 'sample-zoe' valid until '2199-12-31';
create role "night-shift%d" nologin createdb;

grant shop_reader to shop_app;
grant shop_reader to "Analyst ""Zoë""" with admin option;
grant "Analyst ""Zoë""" to "night-shift%d";

alter role shop_app set statement_timeout = '30s';
alter role "Analyst ""Zoë""" set default_transaction_read_only = on;
comment on role shop_reader is 'May read all of the shop; granted to people, never used to log in.';
comment on role "night-shift%d" is E'Two lines,\nand a ''quote''.';

-- The role that backs up: it reads everything and changes nothing. Large objects are granted one by one, in each database.
create role holdfast_backup login bypassrls password 'sample-holdfast-backup';
grant pg_read_all_data to holdfast_backup;
