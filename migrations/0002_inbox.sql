-- The inbox: every fact that comes from outside, before anything is made of it.
--
-- A webhook, a poll's answer, the result of a command, a sandbox message, an operator's act: each is one row, inserted first under a
-- unique key, with the bytes as they came. The row's judgement is written beside the bytes and never over them. So a fact is stored
-- once, however often it comes, and the inbox holds nothing that was not sent. (0008 says how facts leave.)

create table inbox (
    id                uuid        primary key,
    -- Source and provider, as in 'webhook:nexusbank'.
    consumer_group    text        not null,
    -- The sender's id of the event, or one that the service derives from the body.
    event_id          text        not null,
    source            text        not null check (source in
        ('api', 'webhook', 'poll', 'list', 'sandbox', 'report', 'command', 'timer', 'operator')),
    provider          text        not null,
    -- Which event of the body, where one request carries several.
    part              integer     not null default 0,
    -- bytea, because jsonb refuses some legal JSON.
    body              bytea       not null,
    body_digest       bytea       not null check (length(body_digest) = 32),
    -- The digest of the report that the body was read as. Providers repeat a message with a count of their attempts in it, and lists
    -- order its fields otherwise: such a body says the same as the first and is no conflict. Null: the body was not understood; then
    -- only the same bytes are the same.
    meaning           bytea,
    headers           jsonb       not null,
    -- What the fact says it is about; settling it sets `opening_id` for good. No foreign keys: a fact may speak of something unknown.
    opening_id        uuid,
    provider_ref      text,
    received_at       timestamptz not null,
    -- The part of the queue that it waits in: the market of its opening; '' where that is unknown when it comes; 'hot/0' to 'hot/15'
    -- for openings about which many facts come at once. Claims take a share of every lane, so that a crowd holds up no other market.
    -- Byte order, because claims walk from one lane to the next.
    lane              text        collate "C" not null default '',
    -- PARKED_TTL counts from here: when the fact came, or was redriven.
    retry_from        timestamptz not null,
    status            text        not null check (status in ('pending', 'applied', 'ignored', 'dead')),
    -- How the fact was judged, or the cause of its death.
    outcome           text,
    -- When the fact is decided next; a claim holds the row's lock meanwhile. Null: it is settled, or dead.
    due_at            timestamptz,
    -- Errors of our own; waiting for an opening does not count.
    attempts          integer     not null default 0,
    -- [{"at", "class", "cause"}]
    attempt_log       jsonb       not null default '[]',
    -- How often the same event came again after the burst cache had forgotten it.
    duplicates        integer     not null default 0,
    last_duplicate_at timestamptz,
    settled_at        timestamptz,
    -- When an erasure emptied body and headers. The digest stays: a copy is still recognised.
    erased_at         timestamptz,
    -- When the sweeper copied the row to inbox_archive and emptied it here. Null: all of it is here.
    archived_at       timestamptz,

    constraint an_event_is_stored_once unique (consumer_group, event_id),
    constraint due_while_it_waits check ((due_at is not null) = (status = 'pending')),
    constraint settled_has_its_time check ((settled_at is not null) = (status in ('applied', 'ignored'))),
    constraint erased_facts_hold_nothing check (erased_at is null or (body = '' and headers = '{}')),
    constraint archived_facts_hold_nothing
        check (archived_at is null or (body = '' and headers = '{}' and attempt_log = '[]'))
    -- A queue: each row is written, settled (which leaves a dead row, and dead entries where each claim begins to read) and moved
    -- away. Vacuum comes when one row in a hundred has changed, however much is kept. Statistics follow, because the planner must know
    -- how few rows are pending. Ten times the default cost limit, so that a long vacuum is done before the next is due. Insertions
    -- count soon too, so that pages are known to be all visible while they are still in memory. A page has room for a second version of each
-- row: settling writes it beside the first, so that the log holds only what differs, a seventh of a webhook's log less.
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
    autovacuum_vacuum_cost_limit = 2000);

-- The queue: inbox::claim. What is settled stands in no index of the queue.
create index inbox_lanes on inbox (lane, due_at, id) where due_at is not null;
-- inbox::unpark and inbox::older_unread find the facts that wait for a tracking id.
create index inbox_open_by_reference on inbox (provider, provider_ref, id)
    where status in ('pending', 'dead') and provider_ref is not null;
-- The facts of an opening, pending ones too: inbox::older_unread, the timeline, an erasure.
create index inbox_of_opening on inbox (opening_id, id) where opening_id is not null;
-- Dead letters: their list, and inbox::may_be_late.
create index inbox_dead on inbox (id) where status = 'dead';
-- inbox::expire_parked.
create index inbox_parked on inbox (retry_from) where due_at is not null and outcome = 'parked';
-- inbox::unmatched: facts without an opening, waiting or dead, in the order of their list.
create index inbox_unmatched on inbox (id) where outcome in ('parked', 'no_matching_opening');
-- inbox::about: an erasure looks for its ids in facts that name no opening, such as unreadable ones, and in those that were discarded
-- before the service knew which opening their tracking id names.
create index inbox_of_nobody on inbox (id) where opening_id is null and provider_ref is null;
create index inbox_discarded_by_reference on inbox (provider, provider_ref)
    where status = 'ignored' and opening_id is null and provider_ref is not null;
