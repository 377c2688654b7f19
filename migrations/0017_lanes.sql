-- Lanes of the inbox and the outbox: what comes in great numbers must not stand before everybody else's.
--
-- A fact's lane is the market of the opening that it is about; '' where that is not known when it comes; 'hot/0' to 'hot/15'
-- for openings that many facts come about at once. A command's lane is the market of its opening, a delivery's its
-- subscriber, so that one that is out of order can be passed over whole, however much waits for it. Workers take a share of
-- every lane that has something due. Byte order, since the lanes are walked from one to the next.
--
-- A version that does not know the column writes into the lane '' and claims across all lanes in the order of time, as it
-- did. It looks for that in indexes that are gone: with very much waiting, its claims read all of it. Only its speed suffers;
-- and with both indexes there, the claims that know lanes would sometimes be planned on the wrong one.
--
-- Building an index holds up whoever writes to its table: on a large database, add the columns and build both indexes before,
-- `concurrently`.
alter table inbox add column if not exists lane text collate "C" not null default '';
alter table outbox add column if not exists lane text collate "C" not null default '';

create index if not exists inbox_lanes on inbox (lane, next_attempt_at, id) where status = 'pending';
create index if not exists outbox_lanes on outbox (topic, lane, next_attempt_at, id) where status = 'pending';

drop index inbox_due;
drop index outbox_due;
