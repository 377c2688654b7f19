-- When the poller looks at an opening next: at the next poll while it waits for the provider, else at its deadline.
--
-- An opening has one row at most; a terminal one has none. A narrow table of its own, so that moving a timer touches neither the anchor nor
-- its indexes.

create table timers (
    opening_id         uuid        primary key references account_openings (id),
    -- Null: an escalated opening that is not polled. Its row stays, because `claims` must never start again.
    due_at             timestamptz,
    -- Numbers the polls of the opening.
    claims             integer     not null default 0,
    -- The claims before the wait began: the schedule of the polls begins there. A deadline that passed before was a claim too.
    claims_before_wait integer     not null default 0,
    -- The provider to poll, while the poll may wait for capacity: it is due before the deadline, or wanted after an escalation.
    -- Null: there is no poll, or it cannot wait.
    asks               text,
    -- From when on it cannot wait: its deadline. Null: it always can.
    urgent_from        timestamptz,
    -- Since when the provider says that an account is open without saying which: its look-up is then repeated sooner than scheduled.
    account_due_since  timestamptz
    -- Small, and each claim and each poll moves an entry of its indexes.
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 2000);

-- How much is due and since when: gauges::queues and live::read.
create index timers_due on timers (due_at) where due_at is not null;
-- timers::lock_polls: one queue for each provider, in the order in which polls are due.
create index timers_polls on timers (asks, due_at, opening_id) where asks is not null and due_at is not null;
-- timers::lock_urgent: one queue for all that cannot wait, in the order since when they cannot. A timer that waits for its deadline lies
-- ahead of now, whenever it is due.
create index timers_urgent on timers (greatest(due_at, urgent_from), opening_id)
    where urgent_from is not null and due_at is not null;
