-- What callers are promised (idempotency keys) and what people must look at (cases, tickets).

-- The first answer to each key, for as long as it may be repeated. Written with the anchor, so that a key without an
-- opening and an opening without its key do not exist.
create table idempotency_keys (
    token_name text        not null,
    key        text        not null,
    -- Of the canonical request: spaces and the order of fields do not make it another one.
    digest     bytea       not null check (length(digest) = 32),
    status     integer     not null,
    body       text        not null,
    opening_id uuid        not null references account_openings (id),
    expires_at timestamptz not null,
    primary key (token_name, key)
);

create index idempotency_keys_expiry on idempotency_keys (expires_at);

-- Two sides disagree and no machine may choose. One per cause: the same disagreement again opens nothing.
create table cases (
    id         uuid        primary key,
    opening_id uuid        not null references account_openings (id),
    kind       text        not null,
    cause      text        not null,
    ours       jsonb       not null,
    theirs     jsonb       not null,
    -- Inbox ids.
    evidence   uuid[]      not null,
    status     text        not null check (status in ('open', 'resolved')),
    reason     text,
    created_at timestamptz not null,
    constraint one_case_per_cause unique (opening_id, kind, cause)
);

-- Somebody has to look. One per opening and kind, opened again when it happens again.
create table tickets (
    id         uuid        primary key,
    opening_id uuid        not null references account_openings (id),
    kind       text        not null check (kind in ('AccountOpeningWebhookNotReceived', 'AccountOpeningStepFailed')),
    summary    text        not null,
    link       text        not null,
    status     text        not null check (status in ('open', 'closed')),
    reason     text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint one_ticket_per_kind unique (opening_id, kind)
);
