-- Openings: the anchor of each, and its append-only history.
--
-- These tables defend their invariants without the service, against SQL written by hand too:
--   * CHECKs refuse an anchor whose data does not belong to its state;
--   * `legal_steps` refuses a history row that is no legal step from the one before, and one that its anchor does not know;
--   * `agrees_with_history_…` refuse an anchor that disagrees with its last history row;
--   * `append_only` and `never_deleted` refuse every change of the history and the deletion of an opening, to the owner as well.
-- The first two triggers look once per statement, when it ends. So a statement that moves anchors writes their steps too (`openings::update`).
-- States are text, so that neighbouring versions of the service can share a database.
--
-- In all migrations: SQL names no schema, because one schema is one cell and a server may hold several. Ids are UUIDv7 that the service
-- makes, so a primary key is in the order of time. Times are the service's; only tables about the database server read its clock.

-- A session looks among its temporary tables first, unless its search path puts them last. A role could thus put an empty history in
-- front of the real one, and a trigger would read that. Functions that read tables are therefore pinned to this schema, with temporary
-- tables last (`set search_path from current`).
select set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- The anchor. Its row lock serialises all work on the opening.
create table account_openings (
    id                    uuid        primary key,
    market                text        not null,
    customer_type         text        not null check (customer_type in ('company', 'freelancer', 'individual')),
    -- The caller's own name for the customer. An erasure empties it.
    customer_reference    text        not null,
    -- Personal data, which stands nowhere else. Null: an erasure deleted it.
    customer              jsonb,
    currency              text        not null,
    flow                  text        not null check (flow in ('async', 'sync')),
    provider              text        not null,
    state                 text        not null check (state in
        ('creating_profile', 'requesting_account', 'awaiting_provider', 'escalated', 'issuing_card', 'completed',
         'rejected', 'failed')),
    -- From the profile service.
    profile_id            text,
    -- The tracking id.
    provider_ref          text,
    -- The provider's last word, beside our own state; it never decides alone.
    provider_status       text,
    iban                  text,
    bic                   text,
    -- From the card issuer.
    card_id               text,
    -- Why the opening was rejected or failed.
    reason                text,
    -- Since when a request to the provider may or may not have arrived. Null: the outcome of each request is known.
    outcome_unknown_since timestamptz,
    deadline_at           timestamptz not null,
    escalated_at          timestamptz,
    -- The number of steps: it orders the events that subscribers receive.
    version               bigint      not null check (version >= 1),
    -- The hash of the last history row.
    head_hash             bytea       not null check (length(head_hash) = 32),
    created_at            timestamptz not null,
    updated_at            timestamptz not null,
    -- When its personal data was erased. The constraints below tell an erased value from a missing one by it.
    erased_at             timestamptz,

    constraint reference_belongs_to_one_opening unique (provider, provider_ref),
    constraint iban_exactly_when_succeeded check
        ((iban is not null) = (state in ('issuing_card', 'completed') and erased_at is null)),
    constraint bic_goes_with_iban check ((bic is null) = (iban is null)),
    constraint card_exactly_when_completed check ((card_id is not null) = (state = 'completed')),
    constraint reason_exactly_when_ended check ((reason is not null) = (state in ('rejected', 'failed'))),
    constraint reference_from_the_wait_on check (case
        when state in ('creating_profile', 'requesting_account') then provider_ref is null
        when state in ('rejected', 'failed') then true
        else provider_ref is not null end),
    constraint profile_from_the_request_on check (case
        when state = 'creating_profile' then profile_id is null
        when state in ('rejected', 'failed') then true
        else profile_id is not null end),
    constraint unknown_only_while_requesting check (outcome_unknown_since is null or state = 'requesting_account'),
    constraint escalated_has_its_time check (case
        when state in ('creating_profile', 'requesting_account', 'awaiting_provider') then escalated_at is null
        when state = 'escalated' then escalated_at is not null
        else true end),
    constraint erased_only_when_ended check (erased_at is null or state in ('completed', 'rejected', 'failed')),
    constraint erased_holds_nothing check (erased_at is null
        or (customer is null and customer_reference = '' and coalesce(reason, 'erased') = 'erased'))
    -- Room on the page for a second version of each row. No index covers a column that changes at a step, apart from the tracking id and
    -- from reasons, so most updates stay heap-only (Postgres writes to no index), even where one commit moves all rows of a page.
    --
    -- Large, and only the newest rows change: most of what is dead goes without a vacuum.
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_cost_limit = 1000);

-- openings::list_of_customer, and the dashboard's search.
create index account_openings_customer on account_openings (customer_reference, id);
-- openings::list_ended_badly and openings::list_escalated. The rows are rare: a list of them reads no others.
create index openings_ended_badly on account_openings (id) where reason is not null;
create index openings_escalated on account_openings (id) where escalated_at is not null;
-- inbox::may_be_late asks at every sweep whether any opening was erased.
create index erased_openings on account_openings (id) where erased_at is not null;

-- The IBANs that openings hold now. Narrow, and beside the anchors, so that an IBAN costs its opening one entry of an index and not a new
-- entry in each index of `account_openings`. Triggers alone write here.
create table opening_ibans (
    iban       text not null,
    opening_id uuid not null,
    constraint iban_belongs_to_one_opening primary key (iban)
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

create table opening_history (
    -- No foreign key, here and in the outbox and events: `legal_steps` looks for the anchor, and `never_deleted` keeps it.
    opening_id uuid        not null,
    version    bigint      not null check (version >= 1),
    -- Null: the first step.
    from_state text,
    to_state   text        not null,
    event      text        not null,
    source     text        not null check (source in
        ('api', 'webhook', 'poll', 'list', 'sandbox', 'report', 'command', 'timer', 'operator')),
    -- The fact that caused the step. No foreign key: settled facts leave the inbox one day, history stays.
    inbox_id   uuid,
    at         timestamptz not null,
    -- For people. It holds no personal data, because a history row can never be erased.
    detail     text,
    -- HMAC over the previous hash and this row, under HISTORY_KEY: an edit made without the key shows.
    hash       bytea       not null check (length(hash) = 32),
    primary key (opening_id, version)
    -- Append-only: nothing dies here, so a vacuum reads only the new pages and no index. It freezes them at once, while they are in
    -- memory. Otherwise all of them are written again, years later and together, when transaction ids wrap around.
) with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05, autovacuum_freeze_min_age = 0);

-- today::answers and today::learnt read the final answers of a day: one entry per opening, at the end of the index.
create index opening_answers on opening_history (at, source) where to_state in ('issuing_card', 'rejected', 'failed');

-- The same table of steps as `StateName::may_become`; a test compares the two.
create function opening_step_is_legal(from_state text, to_state text) returns boolean
language sql immutable as $$
    select case
        when from_state is null then to_state = 'creating_profile'
        when from_state = 'creating_profile' then to_state in ('requesting_account', 'failed')
        when from_state = 'requesting_account' then to_state in ('awaiting_provider', 'rejected', 'failed')
        when from_state = 'awaiting_provider' then to_state in ('escalated', 'issuing_card', 'rejected', 'failed')
        when from_state = 'escalated' then to_state in ('issuing_card', 'rejected', 'failed')
        when from_state = 'issuing_card' then to_state = 'completed'
        else false
    end
$$;

-- The trigger reads the row before each new row, and its anchor. `offset 0` keeps the planner at one index lookup per row.
create function opening_history_takes_legal_steps() returns trigger language plpgsql set search_path from current as $$
declare
    refused record;
begin
    select s.*, p.to_state as previous, a.version as anchored into refused
      from steps s
      left join lateral (select h.to_state from opening_history h
                          where h.opening_id = s.opening_id and h.version = s.version - 1 offset 0) as p on true
      left join lateral (select o.state, o.version, o.head_hash from account_openings o where o.id = s.opening_id offset 0) as a on true
     where s.from_state is distinct from p.to_state or not opening_step_is_legal(s.from_state, s.to_state)
        or (a.version > s.version or (a.version, a.state, a.head_hash) = (s.version, s.to_state, s.hash)) is not true
     limit 1;
    if found then
        raise exception 'step % of opening % is refused: % -> % after %; the anchor is at version %', refused.version, refused.opening_id,
            coalesce(refused.from_state, '(start)'), refused.to_state, coalesce(refused.previous, '(start)'),
            coalesce(refused.anchored::text, '(none)')
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;

create trigger legal_steps after insert on opening_history
    referencing new table as steps for each statement execute function opening_history_takes_legal_steps();

create function opening_history_is_append_only() returns trigger language plpgsql set search_path from current as $$
begin
    raise exception 'opening_history is append-only: % refused', tg_op
        using errcode = 'insufficient_privilege';
end
$$;

create trigger append_only before update or delete on opening_history
    for each row execute function opening_history_is_append_only();
-- A row trigger does not see a TRUNCATE, not even the owner's.
create trigger append_only_truncate before truncate on opening_history
    for each statement execute function opening_history_is_append_only();

create function opening_is_never_deleted() returns trigger language plpgsql as $$
begin
    raise exception 'openings are never deleted: % refused', tg_op using errcode = 'insufficient_privilege';
end
$$;

create trigger never_deleted before delete on account_openings
    for each row execute function opening_is_never_deleted();
create trigger never_deleted_truncate before truncate on account_openings
    for each statement execute function opening_is_never_deleted();

-- The trigger notes the IBANs too, as the tables' owner: the service has no right to. `anchors` are the rows as the statement left them.
create function opening_agrees_with_history() returns trigger language plpgsql security definer set search_path from current as $$
declare
    refused record;
begin
    select a.id, a.state, a.version, last.to_state, last.version as steps into refused
      from anchors a
      left join lateral (select h.to_state, h.version, h.hash from opening_history h
                          where h.opening_id = a.id order by h.version desc limit 1) as last on true
     where (a.state, a.version, a.head_hash) is distinct from (last.to_state, last.version, last.hash)
     limit 1;
    if found then
        raise exception 'opening % is % at version %, its history says % at version %', refused.id, refused.state, refused.version,
            coalesce(refused.to_state, 'nothing'), coalesce(refused.steps, 0)
            using errcode = 'integrity_constraint_violation';
    end if;
    insert into opening_ibans (iban, opening_id)
    select a.iban, a.id
      from anchors a
      left join lateral (select i.opening_id from opening_ibans i where i.iban = a.iban offset 0) as held on true
     where a.iban is not null and held.opening_id is distinct from a.id;
    return null;
end
$$;

create trigger agrees_with_history_when_made after insert on account_openings
    referencing new table as anchors for each statement execute function opening_agrees_with_history();
create trigger agrees_with_history_when_moved after update on account_openings
    referencing new table as anchors for each statement execute function opening_agrees_with_history();

-- An erasure takes the IBAN away.
create function opening_gives_up_its_iban() returns trigger language plpgsql security definer set search_path from current as $$
begin
    delete from opening_ibans where iban = old.iban;
    return null;
end
$$;

create trigger gives_up_its_iban after update on account_openings
    for each row when (old.iban is distinct from new.iban and old.iban is not null)
    execute function opening_gives_up_its_iban();
