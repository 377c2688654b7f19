-- The places in a provider's list that a listing has been at, as hashes: a place that comes again leads round in a circle. Emptied when
-- the listing ends, or begins anew.
alter table backfills add column seen bigint[] not null default '{}';
