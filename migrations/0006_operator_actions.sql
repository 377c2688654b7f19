-- What people did, to whom, and why: beside what it did, in the commit that did it.
--
-- `detail` may hold what an operator gave as evidence; an erasure empties it and `reason`, and who acted and when stays.

create table operator_actions (
    id         uuid        primary key,
    at         timestamptz not null,
    -- The name of the token.
    who        text        not null,
    action     text        not null,
    -- What it was done to: an id, or a name.
    subject    text        not null,
    opening_id uuid,
    reason     text        not null,
    detail     jsonb       not null default '{}'
);

create index operator_actions_of_opening on operator_actions (opening_id, id) where opening_id is not null;
