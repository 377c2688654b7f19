-- What people and the service keep about the running of the service: flags, breaker overrides, backfills, bulk runs, the database server.
--
-- Every replica reads these tables, so that all of them do the same, and a restart forgets nothing.

-- Which flow an opening is started on that asks for none. Append-only: the last change of each scope is in force.
create table feature_flag_changes (
    -- The order of the changes, whatever clocks their replicas have.
    number        bigint      generated always as identity primary key,
    -- Of the request that made it: a request that is repeated makes it once.
    id            uuid        not null unique,
    flag          text        not null,
    -- Null: all markets, all customer types.
    market        text,
    customer_type text,
    enabled       boolean     not null,
    percentage    integer     not null check (percentage between 0 and 100),
    reason        text        not null,
    -- The name of the token.
    who           text        not null,
    at            timestamptz not null
);

-- feature_flags::get, list and changes.
create index feature_flag_changes_of_flag on feature_flag_changes (flag, number);

-- Overrides of circuit breakers. Every replica reads them about every half second, and when it starts. No row: the breaker follows the
-- outcomes of the calls. Earlier overrides stand in operator_actions.
create table breakers (
    -- A provider or another system, and what is asked of it.
    system    text        not null,
    operation text        not null,
    forced    text        not null check (forced in ('open', 'closed')),
    -- The name of the token.
    who       text        not null,
    reason    text        not null,
    at        timestamptz not null,
    primary key (system, operation)
);

-- Webhook activity: the last webhook that was applied to an opening. A start catches up from there, and it shows that a provider has fallen
-- silent. Written every few seconds, never while a webhook waits.
create table webhook_marks (
    provider         text        not null,
    market           text        not null,
    -- Null: none came yet.
    last_received_at timestamptz,
    -- When the first opening of the market began to wait for the provider, so that a silence from the start has a beginning.
    waits_since      timestamptz,

    constraint one_mark_per_market primary key (provider, market),
    constraint a_mark_has_a_time check (last_received_at is not null or waits_since is not null)
);

-- How often each secret of a provider verified a webhook, and when last, so that an old secret is retired on evidence.
create table webhook_secret_uses (
    provider      text        not null,
    -- The first 12 hex digits of the secret's SHA-256.
    fingerprint   text        not null,
    uses          bigint      not null,
    first_used_at timestamptz not null,
    last_used_at  timestamptz not null,
    primary key (provider, fingerprint)
);

-- Reading a provider's list from a time on, page by page, after an outage: the place in the list survives a crash.
create table backfills (
    id              uuid        primary key,
    provider        text        not null,
    since           timestamptz not null,
    cause           text        not null check (cause in ('start', 'breaker', 'operator')),
    -- The name of the token, and why. Null: no operator asked for it.
    who             text,
    reason          text,
    status          text        not null check (status in ('pending', 'done', 'failed')),
    -- Where the next page begins. Null: at `since`.
    cursor          text,
    -- Hashes of the places that the listing has been at: a place that comes again shows a circle. Emptied when the listing ends, or
    -- begins anew.
    seen            bigint[]    not null default '{}',
    pages           integer     not null default 0,
    items           bigint      not null default 0,
    -- Those of the items that were not in the inbox.
    new_facts       bigint      not null default 0,
    -- Failed calls since the last page: the length of the next wait.
    tries           integer     not null default 0,
    -- Unusable answers, which MAX_ATTEMPTS bounds. An outage does not count.
    attempts        integer     not null default 0,
    next_attempt_at timestamptz not null,
    -- RETRY_FOR counts from here: when the backfill was asked for, or brought its last page.
    retry_from      timestamptz not null,
    lease_token     uuid,
    lease_until     timestamptz,
    -- The class of the last failure.
    last_error      text,
    created_at      timestamptz not null,
    finished_at     timestamptz,

    constraint an_end_has_its_time check ((finished_at is null) = (status = 'pending'))
);

-- The queue: backfills::claim.
create index backfills_due on backfills (next_attempt_at, id) where status = 'pending';
-- backfills::list.
create index backfills_of_provider on backfills (provider, id);

-- Bulk runs: one act on all dead letters of a cause. A person prepares a run, which freezes its list; started, it touches that list and
-- nothing else. A list that was never started is deleted after a day.
create table bulk_runs (
    id          uuid        primary key,
    act         text        not null check (act in ('redrive', 'discard')),
    -- The filter that made the list. Null: both queues, every cause.
    queue       text        check (queue in ('inbox', 'outbox')),
    cause       text,
    -- The length of the list.
    items       integer     not null,
    -- The filter found more letters than a run takes.
    is_cut      boolean     not null,
    prepared_by text        not null,
    prepared_at timestamptz not null,
    -- Its row in operator_actions has the person and the reason, which an erasure may empty there.
    started_act uuid,
    started_at  timestamptz,
    stopped_at  timestamptz,
    finished_at timestamptz,

    constraint started_by_an_act check ((started_act is null) = (started_at is null)),
    constraint ends_after_its_start check (started_at is not null or (stopped_at is null and finished_at is null)),
    constraint ends_once check (stopped_at is null or finished_at is null)
);

-- bulk_runs::claim, and bulk_runs::expire.
create index bulk_runs_under_way on bulk_runs (started_at, id)
    where started_at is not null and stopped_at is null and finished_at is null;
create index bulk_runs_not_started on bulk_runs (prepared_at, id) where started_at is null;

-- The frozen list, in the order in which it is worked off. No foreign key to the letters: they stand in two tables and are archived.
create table bulk_items (
    run_id    uuid        not null references bulk_runs (id) on delete cascade,
    letter_id uuid        not null,
    queue     text        not null,
    kind      text        not null,
    cause     text        not null,
    -- Entries in the letter's attempts. A letter with others by now was tried since, and is left alone.
    attempts  integer     not null,
    -- Null: not done yet.
    outcome   text        check (outcome in ('done', 'already', 'refused', 'failed')),
    -- Why it was refused or failed.
    why       text,
    done_at   timestamptz,

    primary key (run_id, letter_id),
    constraint an_outcome_has_its_time check ((outcome is null) = (done_at is null))
);

-- bulk_runs::claim and bulk_runs::finish.
create index bulk_items_to_do on bulk_items (run_id, letter_id) where outcome is null;

-- The starts of the database server that this cell has been on. A server that started anew may be another one, which lacks the last
-- commits: a call that was made before may have had its effect and left no trace here.
create table database_starts (
    started_at timestamptz primary key,
    -- When the service noticed it.
    noticed_at timestamptz not null
);

-- The cell is new on this server, so none of its commits is lost.
insert into database_starts (started_at, noticed_at) values (pg_postmaster_start_time(), 'epoch');

-- One row, written by `/readyz` to learn whether the database still takes writes. No index covers the time and the page has room, so its
-- updates stay on it for ever.
create table heartbeats (
    id boolean     primary key check (id),
    at timestamptz not null
) with (fillfactor = 50);

-- Fails where the disk is full. An update that finds room on its page does not: it needs no new block, and the file for its log was
-- allocated long ago. A sort that may not stay in memory does need new blocks, on the disk of the tables. It leaves nothing behind: some
-- 300 kB for less than a millisecond.
create function room_on_disk() returns bigint language sql volatile set work_mem = '64kB' as $$
    select count(filler)
      from (select repeat(n::text, 1000) as filler from generate_series(100, 199) as n order by filler) as spilled
$$;
