-- Every fact that comes from outside, before anything is made of it.
--
-- A webhook, a poll answer, the result of a command, a sandbox message, an operator's act: each is one row, inserted first
-- and under a unique key, with the bytes as they came. `body` is bytea, since legal JSON exists that jsonb refuses. What
-- a row turned out to be is written beside it and never over it.

create table inbox (
    id              uuid        primary key,
    -- Source and provider, as in 'webhook:nexusbank'.
    consumer_group  text        not null,
    event_id        text        not null,
    source          text        not null check (source in
        ('api', 'webhook', 'poll', 'list', 'sandbox', 'report', 'command', 'timer', 'operator')),
    provider        text        not null,
    -- Which event of the body, where one request carries several.
    part            integer     not null default 0,
    body            bytea       not null,
    body_digest     bytea       not null check (length(body_digest) = 32),
    headers         jsonb       not null,
    -- What the fact says it is about; `opening_id` is set for good when it is settled. Not foreign keys: a fact may speak
    -- of something that we do not know.
    opening_id      uuid,
    provider_ref    text,
    received_at     timestamptz not null,
    -- What PARKED_TTL counts from: when it came, or was redriven.
    retry_from      timestamptz not null,
    status          text        not null check (status in ('pending', 'applied', 'ignored', 'dead')),
    -- What it turned out to be, or the cause of its death.
    outcome         text,
    -- Errors of our own; waiting for an opening does not count.
    attempts        integer     not null default 0,
    next_attempt_at timestamptz not null,
    -- [{"at", "class", "cause"}]
    attempt_log     jsonb       not null default '[]',
    -- How often the same event came again after the burst cache had forgotten it.
    duplicates      integer     not null default 0,
    last_duplicate_at timestamptz,
    settled_at      timestamptz,

    constraint an_event_is_stored_once unique (consumer_group, event_id),
    constraint settled_has_its_time check ((settled_at is not null) = (status in ('applied', 'ignored')))
);

create index inbox_due on inbox (next_attempt_at, id) where status = 'pending';
create index inbox_open_by_reference on inbox (provider, provider_ref, id)
    where status in ('pending', 'dead') and provider_ref is not null;
create index inbox_pending_of_opening on inbox (opening_id, id) where status = 'pending' and opening_id is not null;
create index inbox_of_opening on inbox (opening_id, id) where opening_id is not null;
create index inbox_dead on inbox (id) where status = 'dead';
