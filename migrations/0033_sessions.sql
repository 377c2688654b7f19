-- People who are signed in at the dashboard.
create table sessions (
    id            uuid        primary key,
    -- SHA-256 of the cookie's 32 random bytes. The cookie itself stands nowhere.
    cookie_digest bytea       not null unique check (length(cookie_digest) = 32),
    -- The name of the token that signed in.
    who           text        not null,
    -- SHA-256 of the cookie and the token: a replica finds by it whether it still has the token.
    token_binding bytea       not null check (length(token_binding) = 32),
    created_at    timestamptz not null,
    -- When it last asked for a page.
    seen_at       timestamptz not null,
    -- Null: neither signed out nor ended; it may be idle for too long, or too old.
    ended_at      timestamptz
);

create index sessions_of_person on sessions (who, id);

-- The dashboard's form that asked for an act: a form that is sent again does nothing a second time.
alter table operator_actions add column form_id uuid;

create unique index if not exists one_act_per_form on operator_actions (form_id) where form_id is not null;

-- The search finds a ticket by its key.
create index if not exists tickets_by_tracker_key on tickets (tracker_key) where tracker_key is not null;

-- What the first page of the dashboard counts: rows that wait for a person are few among those that were dealt with.
create index if not exists tickets_open on tickets (id) where status = 'open';
create index if not exists tickets_changed on tickets (updated_at) where status = 'open';
create index if not exists cases_open on cases (id) where status = 'open';
-- The final answers of a day, by how they were learnt: one entry for each opening, at the end of the index.
create index if not exists opening_answers on opening_history (at, source) where to_state in ('issuing_card', 'rejected', 'failed');

-- What people did, filtered by who did it and by what it was.
create index if not exists operator_actions_of_person on operator_actions (who, id);
create index if not exists operator_actions_of_kind on operator_actions (action, id);
create index if not exists operator_actions_of_persons_kind on operator_actions (who, action, id);
