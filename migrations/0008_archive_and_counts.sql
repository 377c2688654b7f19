-- The archive keeps inbox and outbox lean; the counts spare a read of all openings.
--
-- The sweeper archives what has been settled for ARCHIVE_AFTER. A fact leaves in two stages. First its whole row is copied here and emptied
-- in the inbox, where key and digest go on to tell copies and conflicts. Once the key is older than INBOX_KEYS_FOR, the emptied row goes
-- too. Effects leave whole. Nothing is archived of an opening that has not ended, or that a case or ticket refers to. What was acknowledged
-- is never lost: a trigger refuses to delete a row that stands in no archive.

-- As in 0001: triggers read this schema's tables and no temporary ones.
select set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- A fact as it was settled, with the columns of the inbox. Left out is only what trying it again needs.
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
    -- As of the move. While the inbox has the key it goes on counting; the last count comes here when the key goes.
    duplicates        integer     not null,
    last_duplicate_at timestamptz,
    settled_at        timestamptz not null,
    erased_at         timestamptz,
    archived_at       timestamptz not null,

    constraint erased_facts_hold_nothing check (erased_at is null or (body = '' and headers = '{}'))
    -- Append-only: vacuumed as the history is. (0001)
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05, autovacuum_freeze_min_age = 0);

-- The facts of an opening: its timeline, evidence, an erasure.
create index inbox_archive_of_opening on inbox_archive (opening_id, id) where opening_id is not null;
-- archive::erase looks for its ids in facts that name no opening, as in the inbox. (0002)
create index inbox_archive_of_nobody on inbox_archive (id) where opening_id is null and provider_ref is null;
create index inbox_archive_by_reference on inbox_archive (provider, provider_ref)
    where opening_id is null and provider_ref is not null;

-- An effect as it ended, with the columns of the outbox. No foreign key: an archive can be moved elsewhere, part by part.
create table outbox_archive (
    id           uuid        primary key,
    -- Null: the delivery of an event that is about a report or a case.
    opening_id   uuid,
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
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05, autovacuum_freeze_min_age = 0);

-- The effects of an opening: its timeline, evidence, an erasure.
create index outbox_archive_of_opening on outbox_archive (opening_id, id);

-- How far the sweeper has come through each table, in the order of its ids. An index of what is to be moved would cost a write for every
-- fact that is settled; a place costs nothing, and outlives a restart. The replica that goes on holds the row's lock.
create table archive_walks (
    name     text        primary key,
    -- The last id that was looked at.
    place    uuid        not null,
    -- When the walk last began at the first row. Null: it never did.
    began_at timestamptz
);

insert into archive_walks (name, place) select name, '00000000-0000-0000-0000-000000000000'
  from unnest(array['facts', 'keys', 'work']) as walks(name);

-- The service's role may delete from inbox and outbox. A row leaves only once it stands in its archive.
create function leaves_for_its_archive() returns trigger language plpgsql set search_path from current as $$
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

-- How many openings there are in each state and market.
create table opening_counts (
    state  text   not null,
    market text   not null,
    count  bigint not null,
    primary key (state, market)
);

-- Changes that the sweeper has not added up yet. Each statement that adds to the history leaves a row per state and market here, for which
-- no other statement waits. Read whole, and never long.
create table opening_count_changes (
    state  text   not null,
    market text   not null,
    change bigint not null,
    -- Logical replication refuses deletes in a table without a key. Random, because replication does not carry the state of a sequence: a
    -- cell that was moved by it would hand out keys that are taken.
    id     uuid   primary key default gen_random_uuid()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create function opening_history_counts() returns trigger language plpgsql security definer set search_path from current as $$
begin
    insert into opening_count_changes (state, market, change)
    select s.state, o.market, sum(s.change)
      from steps
     cross join lateral (select market from account_openings where id = steps.opening_id offset 0) as o
     cross join lateral (values (steps.to_state, 1), (steps.from_state, -1)) as s(state, change)
     where s.state is not null
     group by s.state, o.market
    having sum(s.change) <> 0;
    return null;
end
$$;

create trigger counted after insert on opening_history
    referencing new table as steps for each statement execute function opening_history_counts();

-- Counts all openings; a change that commits meanwhile stays a change. An owner calls it after rows were put in or taken out with triggers
-- switched off.
create function count_openings() returns void language plpgsql set search_path from current as $$
begin
    -- The sweeper adds up no changes meanwhile.
    lock table opening_counts in share row exclusive mode;
    -- One statement, for one snapshot: an opening and its change are both in it, or neither is.
    with counted as (
        select o.state, o.market, count(*) as count from account_openings o group by o.state, o.market
    ), gone as (
        delete from opening_count_changes
    )
    insert into opening_counts as held (state, market, count)
    select coalesce(c.state, h.state), coalesce(c.market, h.market), coalesce(c.count, 0)
      from counted c full join opening_counts h on h.state = c.state and h.market = c.market
        on conflict (state, market) do update set count = excluded.count;
end
$$;

revoke execute on function count_openings() from public;
