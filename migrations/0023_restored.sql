-- The order of events, and the traces of calls to others, survive a restored dump and a failover that lost the last commits.
--
-- Events are read by a position that they are given after their commit. A position is data: it stays what it is on whatever
-- server the cell is restored, unlike the transaction ids that ordered events before. Positions are given to events that are
-- committed, by one statement at a time, in increasing order: so a reader that goes on from its last position misses none,
-- and no transaction that is still open, here or in another database of the server, holds an event back.

-- Events that have no position yet, written in their commit. Never long: each read of the events, and the sweeper, empties it.
create table events_without_position (
    event_id uuid        primary key,
    at       timestamptz not null,
    version  bigint      not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- No foreign key: its check would lock, and so write to, each event.
create table event_positions (
    position bigint primary key,
    event_id uuid   not null
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05, autovacuum_freeze_min_age = 0);

-- One row: the last position that was given. The statement that gives positions locks it, so that two never run at once.
create table event_head (
    id                boolean     primary key default true check (id),
    position          bigint      not null,
    -- The start of the server on which it was given: another one may have lost positions that readers have seen.
    server_started_at timestamptz not null
) with (fillfactor = 50);

insert into event_head (position, server_started_at) values (0, pg_postmaster_start_time());
insert into events_without_position (event_id, at, version) select id, at, version from events;

drop index events_in_order;
alter table events drop column xid;

-- The starts of the database server that this cell has been on, and when the service noticed each. A server that started anew may
-- be another one, which lacks the last commits: a call that was made before may have had its effect and left no trace here.
create table database_starts (
    started_at timestamptz primary key,
    noticed_at timestamptz not null
);

-- The cell is new on this server, so none of its commits is lost.
insert into database_starts (started_at, noticed_at) values (pg_postmaster_start_time(), 'epoch');
