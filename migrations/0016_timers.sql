-- What a claim of timers needs to know of their openings, so that it reads as many rows as it claims, however many are due.
--
-- A version that does not know the two columns writes timers without them, or moves one on and leaves them as they were. What
-- it leaves is never too late for us but in one case, which `timers_unfilled` finds: the sweeper fills them in. There are
-- none while all replicas are of this version; at first all that stand are, and nothing is rewritten here.

-- Whom a poll asks, while it may wait for room: due before its deadline, or wanted after an escalation. Null: nobody is to be
-- asked, or it cannot wait.
alter table timers add column asks text;
-- From when on it cannot wait: its deadline. Null: it always can, or it is not filled in.
alter table timers add column urgent_from timestamptz;

-- One line for each provider, in the order in which polls are due. A claim asks for (asks, due_at) in one comparison: no other
-- index serves it, whatever the planner believes.
create index timers_polls on timers (asks, due_at, opening_id) where asks is not null and due_at is not null;
-- One line for all that cannot wait, in the order since when they cannot. One that waits for its deadline lies ahead of now,
-- whenever it is due.
create index timers_urgent on timers (greatest(due_at, urgent_from), opening_id)
    where urgent_from is not null and due_at is not null;
-- Not filled in, or filled in for a state that an older version has left since.
create index timers_unfilled on timers (opening_id)
    where due_at is not null and asks is null and (urgent_from is null or due_at < urgent_from);

-- timers_due stays: the version before claims by it.
