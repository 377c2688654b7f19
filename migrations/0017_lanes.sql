-- Lanes of the inbox: one market's flood, or one opening's, must not stand before everybody else's facts.
--
-- A fact's lane is the market of the opening that it is about; '' where that is not known when it comes; 'hot/0' to 'hot/15'
-- for openings that many facts come about at once. Workers take a share of every lane that has something due. Byte order,
-- since the lanes are walked from one to the next.
--
-- A version that does not know the column inserts into the lane '' and claims across all lanes in the order of time, as it
-- did. It looks for that in an index that is gone: with many facts waiting, its claims read all of them. Only its speed
-- suffers, and an index more would cost every fact that ever comes.
--
-- Building an index holds up whoever writes to its table: on a large inbox, run the first two statements before, the second
-- with `concurrently`.
alter table inbox add column if not exists lane text collate "C" not null default '';

create index if not exists inbox_lanes on inbox (lane, next_attempt_at, id) where status = 'pending';

drop index inbox_due;
