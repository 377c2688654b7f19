-- The anchor of each opening, its append-only history, and its timer.
--
-- What the service holds to be true stands here, and these tables defend it without the service: CHECK constraints make an
-- illegal combination of state and data impossible, a trigger refuses an illegal step, and a deferred trigger refuses a
-- commit after which an anchor and its last history row disagree. So one commit may hold several steps, and SQL written by
-- hand can hold none that is wrong. States are text, so that neighbouring versions of the service can share a database.
--
-- No name is qualified with a schema: one schema is one cell, and a market can live in its own.

create table account_openings (
    id                    uuid        primary key,
    market                text        not null,
    customer_type         text        not null check (customer_type in ('company', 'freelancer', 'individual')),
    customer_reference    text        not null,
    -- Personal data, erasable; it stands nowhere else.
    customer              jsonb,
    currency              text        not null,
    flow                  text        not null check (flow in ('async', 'sync')),
    provider              text        not null,
    state                 text        not null check (state in
        ('creating_profile', 'requesting_account', 'awaiting_provider', 'escalated', 'issuing_card', 'completed',
         'rejected', 'failed')),
    profile_id            text,
    provider_ref          text,
    -- The provider's last word, beside our own state; it never decides alone.
    provider_status       text,
    iban                  text,
    bic                   text,
    card_id               text,
    reason                text,
    outcome_unknown_since timestamptz,
    deadline_at           timestamptz not null,
    escalated_at          timestamptz,
    -- The number of transitions: it orders the events that subscribers receive.
    version               bigint      not null check (version >= 1),
    head_hash             bytea       not null check (length(head_hash) = 32),
    created_at            timestamptz not null,
    updated_at            timestamptz not null,

    constraint iban_belongs_to_one_opening unique (iban),
    constraint reference_belongs_to_one_opening unique (provider, provider_ref),
    constraint iban_exactly_when_succeeded check ((iban is not null) = (state in ('issuing_card', 'completed'))),
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
        else true end)
    -- Room on the page for the updates of one opening's life: no index covers a column that changes at every step, so
    -- they stay heap-only.
) with (fillfactor = 70);

create index account_openings_customer on account_openings (customer_reference, id);

create table opening_history (
    opening_id uuid        not null references account_openings (id),
    version    bigint      not null check (version >= 1),
    from_state text,
    to_state   text        not null,
    event      text        not null,
    source     text        not null check (source in
        ('api', 'webhook', 'poll', 'list', 'sandbox', 'report', 'command', 'timer', 'operator')),
    -- The fact that caused the step. Not a foreign key: settled facts leave the inbox one day, history stays.
    inbox_id   uuid,
    at         timestamptz not null,
    -- For people; no personal data, since it can never be erased.
    detail     text,
    -- HMAC over the previous hash and this row: an edit by somebody without the key shows.
    hash       bytea       not null check (length(hash) = 32),
    primary key (opening_id, version)
);

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

create function opening_history_takes_legal_steps() returns trigger language plpgsql as $$
declare
    previous text;
begin
    if new.version > 1 then
        select to_state into previous from opening_history
         where opening_id = new.opening_id and version = new.version - 1;
        if not found then
            raise exception 'history of % has no version %', new.opening_id, new.version - 1
                using errcode = 'integrity_constraint_violation';
        end if;
    end if;
    if new.from_state is distinct from previous or not opening_step_is_legal(new.from_state, new.to_state) then
        raise exception 'illegal step of %: % -> % after %', new.opening_id,
            coalesce(new.from_state, '(start)'), new.to_state, coalesce(previous, '(start)')
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end
$$;

create trigger legal_steps before insert on opening_history
    for each row execute function opening_history_takes_legal_steps();

create function opening_history_is_append_only() returns trigger language plpgsql as $$
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

-- Runs at commit and reads what stands then, however many steps the commit took.
create function opening_agrees_with_history() returns trigger language plpgsql as $$
declare
    opening uuid;
    anchor  record;
    last    record;
begin
    if tg_table_name = 'opening_history' then
        opening := new.opening_id;
    else
        opening := new.id;
    end if;
    select state, version, head_hash into anchor from account_openings where id = opening;
    if not found then
        return null;
    end if;
    select to_state, version, hash into last from opening_history
     where opening_id = opening order by version desc limit 1;
    if not found or anchor.state <> last.to_state or anchor.version <> last.version or anchor.head_hash <> last.hash then
        raise exception 'opening % is % at version %, its history says % at version %', opening,
            anchor.state, anchor.version, coalesce(last.to_state, 'nothing'), coalesce(last.version, 0)
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;

create constraint trigger agrees_with_history_when_made after insert on account_openings
    deferrable initially deferred for each row execute function opening_agrees_with_history();
create constraint trigger agrees_with_history_when_moved after update on account_openings
    deferrable initially deferred for each row
    when (old.state is distinct from new.state or old.version is distinct from new.version
          or old.head_hash is distinct from new.head_hash)
    execute function opening_agrees_with_history();
create constraint trigger agrees_with_anchor after insert on opening_history
    deferrable initially deferred for each row execute function opening_agrees_with_history();

-- When the poller looks at an opening next: the next poll while it waits for the provider, else its deadline. A narrow
-- table of its own, so that moving a timer touches neither the anchor nor its indexes. An escalated opening keeps its row
-- without a time: `claims` numbers the polls of an opening and must never start again. Terminal openings have none.
create table timers (
    opening_id uuid        primary key references account_openings (id),
    due_at     timestamptz,
    claims     integer     not null default 0
) with (fillfactor = 50);

create index timers_due on timers (due_at) where due_at is not null;
