-- The outbox: every effect on the outside. The events: what subscribers and readers are told.
--
-- An effect is written in the commit of the step that caused it, so neither exists without the other. It is carried out at least once,
-- always under the same id.
--
-- Events are read by a position that each gets after its commit. One statement at a time gives positions, in increasing order, to
-- committed events. So a reader that goes on from its last position misses none, and no open transaction holds an event back. A
-- position is data: unlike a transaction id it stays the same on another server.

create table outbox (
    -- The Idempotency-Key of a call, or the origin of a delivery's webhook id: the same on every repeat.
    id           uuid        primary key,
    opening_id   uuid,
    topic        text        not null check (topic in
        ('create_profile', 'submit_request', 'open_account', 'issue_card', 'deliver_event', 'open_ticket', 'close_ticket')),
    -- The part of the queue that it waits in: the market of a command's opening, or the subscriber of a delivery, so that claims can
    -- pass over a subscriber that is out of order. Byte order, as in the inbox.
    lane         text        collate "C" not null default '',
    -- No personal data: a call reads it from the anchor when it is made.
    payload      jsonb       not null,
    status       text        not null check (status in ('pending', 'delivered', 'cancelled', 'dead')),
    -- How the effect ended, or the cause of its death.
    outcome      text,
    -- When the effect is tried next; a claim moves it to the end of its lease. Null: it is settled, or dead.
    due_at       timestamptz,
    -- Of the claim that is carrying it out, or that ended in a crash: only the holder of the token can settle the row. Null: the row
    -- waits to be claimed.
    lease_token  uuid,
    -- Numbers the claims; from the second on, a call may have been made already.
    claims       integer     not null default 0,
    -- Unusable answers and errors of our own; an outage does not count.
    attempts     integer     not null default 0,
    -- [{"at", "class", "cause"}]
    attempt_log  jsonb       not null default '[]',
    created_at   timestamptz not null,
    -- RETRY_FOR counts from here: when the row was written, or redriven.
    retry_from   timestamptz not null,
    delivered_at timestamptz,

    constraint due_while_it_waits check ((due_at is not null) = (status = 'pending')),
    constraint leased_while_it_waits check (lease_token is null or due_at is not null),
    constraint delivered_has_its_time check ((delivered_at is not null) = (status = 'delivered')),
    constraint only_deliveries_have_no_opening check (opening_id is not null or topic = 'deliver_event')
    -- A queue: vacuumed as the inbox is, for the same reasons.
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_limit = 2000);

-- The queue: outbox::claim. What is settled stands in no index of the queue.
create index outbox_lanes on outbox (topic, lane, due_at, id) where due_at is not null;
-- The effects of an opening: outbox::cancel, outbox::claim_in_turn, the timeline, an erasure.
create index outbox_of_opening on outbox (opening_id, id);
-- Dead letters.
create index outbox_dead on outbox (id) where status = 'dead';

create table events (
    id         uuid        primary key,
    -- Null: the event is about `subject`.
    opening_id uuid,
    type       text        not null,
    -- Of the opening, or of the report or case.
    version    bigint      not null,
    data       jsonb       not null,
    at         timestamptz not null,
    -- A report, or a case without an opening. Null: the event is about the opening.
    subject    uuid,

    constraint an_event_has_a_subject check (opening_id is not null or subject is not null)
    -- Append-only: vacuumed as the history is. (0001)
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05, autovacuum_freeze_min_age = 0);

-- Events that have no position yet, written in their commit. Never long: each read of the events empties it, and so does the sweeper.
create table events_without_position (
    event_id uuid        primary key,
    at       timestamptz not null,
    version  bigint      not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create table event_positions (
    position bigint primary key,
    -- No foreign key: its check would lock, and so write to, each event.
    event_id uuid   not null
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05, autovacuum_freeze_min_age = 0);

-- One row: the last position that was given. The statement that gives positions locks it, so that two never run at once.
create table event_head (
    id                boolean     primary key default true check (id),
    position          bigint      not null,
    -- The start of the server on which it was given: another server may have lost positions that readers have seen.
    server_started_at timestamptz not null
) with (fillfactor = 50);

insert into event_head (position, server_started_at) values (0, pg_postmaster_start_time());
