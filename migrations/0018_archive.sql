-- Where facts and work go that are done with, so that inbox and outbox stay lean; and how soon each table is vacuumed.
--
-- What has been settled for ARCHIVE_AFTER is moved by the sweeper. A fact leaves in two stages. First its whole row is copied
-- here and emptied in the inbox, where key and digest go on to tell copies and conflicts; once the key is older than
-- INBOX_KEYS_FOR, what is left of it goes too. Work leaves whole. Nothing is moved of an opening that has not ended or that a
-- case or a ticket refers to. A version that does not know these tables shows what was moved no more, and an erasure by it
-- does not reach here: while two versions run beside each other, nothing should be erased (as since 0013).

-- A fact as it was when it was settled; what it still takes to be tried again is left out.
create table inbox_archive (
    id                uuid        primary key,
    consumer_group    text        not null,
    event_id          text        not null,
    source            text        not null,
    provider          text        not null,
    part              integer     not null,
    body              bytea       not null,
    body_digest       bytea       not null,
    headers           jsonb       not null,
    opening_id        uuid,
    provider_ref      text,
    received_at       timestamptz not null,
    status            text        not null check (status in ('applied', 'ignored')),
    outcome           text,
    attempts          integer     not null,
    attempt_log       jsonb       not null,
    -- As they were at the move; while the inbox still has the key it goes on counting, and the last count comes here.
    duplicates        integer     not null,
    last_duplicate_at timestamptz,
    settled_at        timestamptz not null,
    erased_at         timestamptz,
    archived_at       timestamptz not null,

    constraint erased_facts_hold_nothing check (erased_at is null or (body = '' and headers = '{}'))
);

create index inbox_archive_of_opening on inbox_archive (opening_id, id) where opening_id is not null;
-- As 0013 has them for the inbox: what an erasure looks for that names no opening.
create index inbox_archive_of_nobody on inbox_archive (id) where opening_id is null and provider_ref is null;
create index inbox_archive_by_reference on inbox_archive (provider, provider_ref)
    where opening_id is null and provider_ref is not null;

-- When the row was copied to its archive. Null: all of it is here.
alter table inbox add column archived_at timestamptz;
-- The column is new, so there is nothing that would have to be looked at.
alter table inbox add constraint archived_facts_hold_nothing
    check (archived_at is null or (body = '' and headers = '{}' and attempt_log = '[]')) not valid;

-- No foreign key, as in the inbox: an archive can be moved elsewhere, part by part.
create table outbox_archive (
    id           uuid        primary key,
    opening_id   uuid        not null,
    topic        text        not null,
    payload      jsonb       not null,
    status       text        not null check (status in ('delivered', 'cancelled')),
    outcome      text,
    attempts     integer     not null,
    claims       integer     not null,
    attempt_log  jsonb       not null,
    created_at   timestamptz not null,
    delivered_at timestamptz,
    archived_at  timestamptz not null
);

create index outbox_archive_of_opening on outbox_archive (opening_id, id);

-- How far the sweeper has come through each table, in the order of its ids, which is the order of time. An index of what is
-- to be moved would cost a write with every fact that is settled; a place costs nothing, and outlives a restart. Who goes on
-- holds the row.
create table archive_walks (
    name     text        primary key,
    -- The last id that was looked at.
    place    uuid        not null,
    -- When it last set out from the beginning. Null: it never did.
    began_at timestamptz
);
insert into archive_walks (name, place) select name, '00000000-0000-0000-0000-000000000000'
  from unnest(array['facts', 'keys', 'work']) as walks(name);

-- Asked of every fact that is moved: whether a case rests on it. Cases are few.
create index cases_by_evidence on cases using gin (evidence);

-- The service's role may delete from inbox and outbox now. What was acknowledged is not lost by it all the same: a row leaves
-- only once it stands in its archive.
create function leaves_for_its_archive() returns trigger language plpgsql as $$
begin
    if (tg_table_name = 'inbox' and exists (select from inbox_archive where id = old.id))
       or (tg_table_name = 'outbox' and exists (select from outbox_archive where id = old.id)) then
        return old;
    end if;
    raise exception '% % is in no archive: its deletion is refused', tg_table_name, old.id
        using errcode = 'insufficient_privilege';
end
$$;

create trigger leaves_for_its_archive before delete on inbox
    for each row execute function leaves_for_its_archive();
create trigger leaves_for_its_archive before delete on outbox
    for each row execute function leaves_for_its_archive();

-- As the guards of the history: it reads this schema's tables whoever deletes.
do $$
begin
    execute format('alter function leaves_for_its_archive() set search_path to %I, pg_temp', current_schema());
end
$$;

-- Autovacuum. By default a table is vacuumed when a fifth of it has changed: that is soon for a small one, and for one that
-- grows for ever it means later and later, with more and more to do at once. What has to be cleaned up after here does not
-- depend on how much is kept.
--
-- Queues. Each row is written, settled (a dead row, and dead entries at the very front of the indexes of what is due, where
-- each claim begins to read), and moved away. One in a hundred, with statistics to match: the planner must know how few are
-- pending. Ten times the default cost limit, so that a vacuum of much is done before the next is due; insertions count soon
-- too, so that pages are known to be all visible while they are still in memory.
alter table inbox set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_limit = 2000);
alter table outbox set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_limit = 2000);
-- Small, and each claim and each poll moves an entry of its only index.
alter table timers set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 2000);
-- Keys expire at one end of their index, where each sweep looks.
alter table idempotency_keys set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
-- Large, and only the newest rows change: their updates stay on the page, and most of what is dead goes without a vacuum.
alter table account_openings set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 1000);
-- Append-only: nothing dies there, so a vacuum reads the new pages alone and no index. It freezes them at once, while they are
-- in memory: else all of them are written once more, years later and together, when transaction ids come round.
alter table opening_history set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_freeze_min_age = 0);
alter table events set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_freeze_min_age = 0);
alter table inbox_archive set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_freeze_min_age = 0);
alter table outbox_archive set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_freeze_min_age = 0);
