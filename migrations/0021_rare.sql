-- For those who look for what is rare among much: how long that takes must depend on how much of it there is.
--
-- No column here changes while things go their usual way, or it changes with one that an index has already: updates stay on their
-- page as before. An index of the state of openings would have each step written everywhere.
--
-- Building an index holds up whoever writes to its table: on large ones, build these before, concurrently.

-- The openings that were rejected or failed, and those that were escalated.
create index if not exists openings_ended_badly on account_openings (id) where reason is not null;
create index if not exists openings_escalated on account_openings (id) where escalated_at is not null;

-- What each sweep looks for in the inbox: facts that matched nothing for too long, and what an older neighbour buried.
create index if not exists inbox_parked on inbox (retry_from) where status = 'pending' and outcome = 'parked';
create index if not exists inbox_buried on inbox (id)
    where status = 'dead' and outcome = 'unreadable' and source in ('list', 'operator');
