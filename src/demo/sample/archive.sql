-- An old archive, kept in an encoding of its own and nearly empty.
create table letters (id int primary key, sender text not null, body text);
insert into letters values (1, 'Müller', 'Sehr geehrte Damen und Herren'), (2, 'Ångström', null);
create table never_filled (a int);
