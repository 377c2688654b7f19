-- Every effect on the outside, written in the commit of the state change that caused it, and the events that others read.

create table outbox (
    -- The Idempotency-Key (commands) or the webhook id's origin (deliveries): the same on every repeat.
    id              uuid        primary key,
    opening_id      uuid        not null references account_openings (id),
    topic           text        not null check (topic in
        ('create_profile', 'submit_request', 'issue_card', 'deliver_event')),
    -- No personal data: what a call needs of it is read from the anchor when the call is made.
    payload         jsonb       not null,
    status          text        not null check (status in ('pending', 'delivered', 'cancelled', 'dead')),
    outcome         text,
    -- Unusable answers and errors of our own; an outage does not count.
    attempts        integer     not null default 0,
    next_attempt_at timestamptz not null,
    lease_token     uuid,
    lease_until     timestamptz,
    -- Numbers the claims; from the second on, a call may have been made already.
    claims          integer     not null default 0,
    -- [{"at", "class", "cause"}]
    attempt_log     jsonb       not null default '[]',
    created_at      timestamptz not null,
    -- What RETRY_FOR counts from: when it was written, or redriven.
    retry_from      timestamptz not null,
    delivered_at    timestamptz,

    constraint delivered_has_its_time check ((delivered_at is not null) = (status = 'delivered'))
);

create index outbox_due on outbox (topic, next_attempt_at, id) where status = 'pending';
create index outbox_of_opening on outbox (opening_id, id);
create index outbox_dead on outbox (id) where status = 'dead';

-- What subscribers are told. `xid` is the writing transaction: a reader that takes only rows below every transaction
-- still running, in the order of (xid, id), skips none because commits overtook each other.
create table events (
    id         uuid        primary key,
    opening_id uuid        not null references account_openings (id),
    type       text        not null,
    version    bigint      not null,
    data       jsonb       not null,
    at         timestamptz not null,
    xid        xid8        not null default pg_current_xact_id()
);

create index events_in_order on events (xid, id);
