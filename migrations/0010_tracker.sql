-- A ticket at somebody else's tracker, which knows no Idempotency-Key: what we know of it, so that it is made once.

-- Counts what happened to it: work for the tracker is done in this order, whatever clocks the ids of its rows came from.
alter table tickets add column revision bigint not null default 0;
-- What the tracker calls it, once it is there.
alter table tickets add column tracker_key text;
-- A creation was sent then, and its outcome is unknown. Committed before it is sent; gone when the outcome is known.
alter table tickets add column creation_sent_at timestamptz;
