-- Measurements: hash partitions, a BRIN index, numbers of every kind, and a table that refers to itself in a circle.
create schema collected;
create table collected.sensors (id int primary key, label text not null, successor_id int, installed interval);
insert into collected.sensors select n, 'Sensor ' || n, n % 200 + 1, make_interval(days => n, secs => n / 3.0)
from generate_series(1, 200) n;
alter table collected.sensors add constraint circle foreign key (successor_id) references collected.sensors;

create table collected.readings (
  sensor_id int not null,
  at timestamptz not null,
  value double precision not null,
  quality smallint not null default 100,
  is_high boolean generated always as (value > 90) stored
) partition by hash (sensor_id);
create table collected.readings_0 partition of collected.readings for values with (modulus 3, remainder 0);
create table collected.readings_1 partition of collected.readings for values with (modulus 3, remainder 1);
create table collected.readings_2 partition of collected.readings for values with (modulus 3, remainder 2);
insert into collected.readings (sensor_id, at, value, quality)
select n % 200 + 1, timestamptz '2025-01-01' + n * interval '731 milliseconds', random() * 100, n % 101
from generate_series(1, (600000 * current_setting('sample.scale')::float)::int) n;
create index readings_by_time on collected.readings using brin (at);

create statistics collected.value_and_quality (dependencies) on quality, sensor_id from collected.readings;
create view collected.latest as select distinct on (sensor_id) * from collected.readings order by sensor_id, at desc;
create sequence collected.never_used as smallint minvalue -5 maxvalue 5 cycle;
create sequence collected.used_once as int start 42;
select nextval('collected.used_once');
grant select on all tables in schema collected to shop_reader;
