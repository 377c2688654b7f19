-- Which flow an opening without a wish of its own is started on, who decided that and why; and callers who wait.

-- Append-only: what holds is the last change of each scope. Null means all markets, all types.
create table feature_flag_changes (
    -- The order in which they were made, whatever clock their makers went by.
    number        bigint      generated always as identity primary key,
    -- Of the request that made it: work that is done again makes it once.
    id            uuid        not null unique,
    flag          text        not null,
    market        text,
    customer_type text,
    enabled       boolean     not null,
    percentage    integer     not null check (percentage between 0 and 100),
    reason        text        not null,
    -- The name of the token.
    who           text        not null,
    at            timestamptz not null
);

create index feature_flag_changes_of_flag on feature_flag_changes (flag, number);

-- Set while a caller on the synchronous flow waits: until when at the latest. Meanwhile the row holds the answer that is
-- given if nobody comes to give a better one, which is what a version that does not know the column makes of it.
alter table idempotency_keys add column waits_until timestamptz;
