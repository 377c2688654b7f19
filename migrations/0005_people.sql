-- What callers are promised (idempotency keys), what people must look at (cases, tickets), and what people did (acts).
--
-- A key and its opening are written in one commit, so neither exists without the other. The same disagreement makes one case, and an
-- opening has one ticket per kind, however often their cause comes again. An act stands beside what it did, in one commit with it.

-- The first answer to each key, for as long as it may be repeated.
create table idempotency_keys (
    token_name  text        not null,
    key         text        not null,
    -- Of the canonical request: spaces and the order of fields do not make another one.
    digest      bytea       not null check (length(digest) = 32),
    -- The HTTP status and body of the answer.
    status      integer     not null,
    body        text        not null,
    opening_id  uuid        not null references account_openings (id),
    expires_at  timestamptz not null,
    -- Set while a caller on the synchronous flow waits: until when at the latest. Meanwhile status and body are the answer that is given
    -- if the opening does not end in time.
    waits_until timestamptz,
    primary key (token_name, key)
    -- Keys expire at one end of their index, where each sweep looks.
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- idempotency::expire.
create index idempotency_keys_expiry on idempotency_keys (expires_at);

-- A disagreement of two sides that no machine may decide. An erasure empties `ours`, `theirs` and `cause` of what is personal.
create table cases (
    id          uuid        primary key,
    -- Null: the case is about a report's row that names no opening, or about a report.
    opening_id  uuid        references account_openings (id),
    -- Text without a CHECK: a new kind needs no migration.
    kind        text        not null,
    cause       text        not null,
    -- What each side says.
    ours        jsonb       not null,
    theirs      jsonb       not null,
    -- Inbox ids. Facts that a case rests on are not archived.
    evidence    uuid[]      not null,
    status      text        not null check (status in ('open', 'resolved')),
    -- Of the person who resolved it.
    reason      text,
    created_at  timestamptz not null,
    -- The name of the token.
    resolved_by text,
    resolved_at timestamptz,

    constraint one_case_per_cause unique (opening_id, kind, cause)
);

create unique index one_case_per_cause_without_opening on cases (kind, cause) where opening_id is null;
-- today::counts, live::read and cases::list_open.
create index cases_open on cases (id) where status = 'open';
-- cases::list_of_kind.
create index cases_of_kind on cases (kind, id);
-- cases::erase_held_by and archive::free: the cases of other openings about what an opening holds, such as its IBAN.
create index cases_held_by on cases ((theirs ->> 'held_by')) where theirs ->> 'held_by' is not null;
-- archive::copy asks of each fact whether a case rests on it.
create index cases_by_evidence on cases using gin (evidence);

-- A request to a person to look at an opening; opened again when its cause comes again.
create table tickets (
    id               uuid        primary key,
    opening_id       uuid        not null references account_openings (id),
    kind             text        not null check (kind in ('AccountOpeningWebhookNotReceived', 'AccountOpeningStepFailed')),
    summary          text        not null,
    link             text        not null,
    status           text        not null check (status in ('open', 'closed')),
    reason           text,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    -- Counts the changes of the row: work for the tracker is done in this order, whatever clocks the ids of its rows came from.
    revision         bigint      not null default 0,
    -- The tracker's key for it. Null: it is not there yet, or there is no tracker.
    tracker_key      text,
    -- A creation was sent then, and its outcome is unknown. Committed before it is sent, because the tracker knows no Idempotency-Key;
    -- null again when the outcome is known.
    creation_sent_at timestamptz,

    constraint one_ticket_per_kind unique (opening_id, kind)
);

-- today::counts, live::read and tickets::list_open.
create index tickets_open on tickets (id) where status = 'open';
-- live: what changed since the last look.
create index tickets_changed on tickets (updated_at) where status = 'open';
-- The dashboard's search.
create index tickets_by_tracker_key on tickets (tracker_key) where tracker_key is not null;

-- What a person did: act, subject and reason. An erasure empties `detail` and `reason`; person and time stay.
create table operator_actions (
    id         uuid        primary key,
    at         timestamptz not null,
    -- The name of the token.
    who        text        not null,
    action     text        not null,
    -- An id, or a name.
    subject    text        not null,
    opening_id uuid,
    reason     text        not null,
    -- It may hold what an operator gave as evidence.
    detail     jsonb       not null default '{}',
    -- The dashboard's form that asked for the act. Null: the act came over REST.
    form_id    uuid
);

-- A form that is sent again does nothing a second time.
create unique index one_act_per_form on operator_actions (form_id) where form_id is not null;
-- operator_actions::list by opening, person and act.
create index operator_actions_of_opening on operator_actions (opening_id, id) where opening_id is not null;
create index operator_actions_of_person on operator_actions (who, id);
create index operator_actions_of_kind on operator_actions (action, id);
create index operator_actions_of_persons_kind on operator_actions (who, action, id);

-- Forms of the dashboard whose act had been done before: sent again they do nothing. Those that did something stand in
-- operator_actions. A row per act that two people asked for, so that none needs to be deleted.
create table answered_forms (
    form_id     uuid        primary key,
    answered_at timestamptz not null,
    -- What the act was about, as in operator_actions.
    subject     text        not null
);
