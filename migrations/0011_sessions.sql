-- Sessions: people who are signed in at the dashboard.
--
-- Cookie and token stand nowhere, only their digests: a copy of the database signs nobody in.

create table sessions (
    id            uuid        primary key,
    -- SHA-256 of the cookie's 32 random bytes.
    cookie_digest bytea       not null unique check (length(cookie_digest) = 32),
    -- The name of the token that signed in.
    who           text        not null,
    -- SHA-256 of the cookie and the token: a replica finds by it whether it still has the token.
    token_binding bytea       not null check (length(token_binding) = 32),
    created_at    timestamptz not null,
    -- The time of the newest request for a page.
    seen_at       timestamptz not null,
    -- Null: neither signed out nor ended; it may be idle for too long, or too old.
    ended_at      timestamptz
);

-- sessions::of_person.
create index sessions_of_person on sessions (who, id);
