-- Catching up after an outage: what the provider is asked about, and since when.
--
-- A version that does not know these tables leaves them alone; what it received meanwhile stands in the inbox, and the marks
-- that it does not write only make the next catch-up look further back.

-- The last webhook that was applied to an opening, per provider and market: what a start catches up from, and what shows
-- that a provider has fallen silent. Written every few seconds, never on the way of a webhook.
create table webhook_marks (
    provider         text        not null,
    market           text        not null,
    last_received_at timestamptz not null,

    constraint one_mark_per_market primary key (provider, market)
);

-- Pulling a provider's list since a time, page by page: the place in the list survives a crash.
create table backfills (
    id              uuid        primary key,
    provider        text        not null,
    since           timestamptz not null,
    cause           text        not null check (cause in ('start', 'breaker', 'operator')),
    -- The name of the token, and why: of an operator's.
    who             text,
    reason          text,
    status          text        not null check (status in ('pending', 'done', 'failed')),
    -- Where the next page begins. Null: at `since`.
    cursor          text,
    pages           integer     not null default 0,
    items           bigint      not null default 0,
    -- Those of the items that were not in the inbox.
    new_facts       bigint      not null default 0,
    -- Failed calls since the last page: how long the next wait is.
    tries           integer     not null default 0,
    -- Unusable answers: what MAX_ATTEMPTS bounds. An outage does not count.
    attempts        integer     not null default 0,
    next_attempt_at timestamptz not null,
    -- What RETRY_FOR counts from: when it was asked for, or brought its last page.
    retry_from      timestamptz not null,
    lease_token     uuid,
    lease_until     timestamptz,
    -- The class of the last failure.
    last_error      text,
    created_at      timestamptz not null,
    finished_at     timestamptz,

    constraint an_end_has_its_time check ((finished_at is null) = (status = 'pending'))
);

create index backfills_due on backfills (next_attempt_at, id) where status = 'pending';
create index backfills_of_provider on backfills (provider, id);

-- How often the timer had been claimed when the wait began: the schedule of the polls begins there. A deadline that passed
-- before the wait was a claim too.
alter table timers add column claims_before_wait integer not null default 0;
