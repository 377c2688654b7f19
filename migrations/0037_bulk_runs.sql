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

create index bulk_items_to_do on bulk_items (run_id, letter_id) where outcome is null;

-- Forms of the dashboard whose act had been done before: sent again they do nothing. Those that did something stand in
-- operator_actions. A row per act that two people asked for, so that none needs to be deleted.
create table answered_forms (
    form_id     uuid        primary key,
    answered_at timestamptz not null,
    -- What the act was about, as in operator_actions.
    subject     text        not null
);
