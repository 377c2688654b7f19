-- What people decide, and what is left of an opening whose personal data was erased.
--
-- Operators resolve cases, end openings and erase those that have ended. An erasure empties what may be personal wherever it
-- stands and leaves the rest: state, version and history go on to agree, so the chain still verifies. `erased_at` tells a
-- value that was erased from one that is missing, and the constraints hold for both. All columns are new and may be null, so
-- that a version which does not know them can run beside this one; but it cannot read an opening that was erased, nor an
-- operator's decision: neither should be asked for until every replica knows them. Constraints hold for what is written from
-- now on; 0014 looks at what stands, without holding anybody up.

-- Who closed a case, and when; its reason is beside.
alter table cases add column resolved_by text, add column resolved_at timestamptz;

alter table account_openings add column erased_at timestamptz;

alter table account_openings
    drop constraint iban_exactly_when_succeeded,
    add constraint iban_exactly_when_succeeded check
        ((iban is not null) = (state in ('issuing_card', 'completed') and erased_at is null)) not valid,
    -- What has not ended is still needed, and what is erased is gone: the reason's word is ours.
    add constraint erased_only_when_ended check (erased_at is null or state in ('completed', 'rejected', 'failed'))
        not valid,
    add constraint erased_holds_nothing check (erased_at is null
        or (customer is null and customer_reference = '' and coalesce(reason, 'erased') = 'erased')) not valid;

-- When body and headers were emptied. The digest of the body stays: the same event again is still known as a copy.
alter table inbox add column erased_at timestamptz,
    add constraint erased_facts_hold_nothing check (erased_at is null or (body = '' and headers = '{}'))
        not valid;

-- What could not be read, or is of no concern, names no opening: an erasure looks for its ids in what stands there. Building an
-- index holds up whoever writes to its table: on a large inbox, build these two before, concurrently.
create index if not exists inbox_of_nobody on inbox (id) where opening_id is null and provider_ref is null;

-- What was discarded before anybody knew whose tracking id it names.
create index if not exists inbox_discarded_by_reference on inbox (provider, provider_ref)
    where status = 'ignored' and opening_id is null and provider_ref is not null;

-- Few: whether there is any is asked at every sweep.
create index erased_openings on account_openings (id) where erased_at is not null;

-- The cases of others about what an opening holds.
create index cases_held_by on cases ((theirs ->> 'held_by')) where theirs ->> 'held_by' is not null;
