-- The fee ledger: which fees of the provider we expect, which ones it charged, and which of those were paid.
--
-- Each line moves one amount from the account `debit` to the account `credit`, so the ledger always balances. Lines are never changed: a
-- reversal is a line of its own. A cause has one line at most, whichever process writes it and however often, so that a fee cannot be
-- booked twice. Amounts are exact decimals in the currency's unit.
--
-- The view `fee_ledger` shows all lines. Two tables hold them: `expected_fees`, written in the commit of each step that owes a fee, and
-- `fee_bookings`, written by reconciliation. Each check, partial index and row trigger of a table costs its every insert; an expected fee
-- pays for none that only bookings need.

-- As in 0001: triggers read this schema's tables and no temporary ones.
select set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- Every price list that ever booked a fee, so that an expected fee can be computed again years later.
create table price_lists (
    sha256        text        primary key check (sha256 ~ '^[0-9a-f]{64}$'),
    content       text        not null,
    first_used_at timestamptz not null
);

-- Fees that steps owe by the price list: from `cost` to `expected`. No foreign keys, here and below: their checks would lock, and so write
-- to, each opening and each report.
create table expected_fees (
    id         uuid        primary key,
    -- When the step was taken.
    at         timestamptz not null,
    opening_id uuid        not null,
    -- The fee's code in the price list.
    code       text        not null,
    -- With tax.
    amount     numeric     not null,
    -- The tax that is part of the amount.
    tax        numeric     not null default 0,
    currency   text        not null,
    provider   text        not null,
    -- The SHA-256 of the price list.
    price_list text        not null,

    -- Also for the fees of an opening.
    constraint one_fee_per_opening_and_code unique (opening_id, code),
    constraint amount_is_exact check (amount > 0 and amount < 1000000000000000 and scale(amount) <= 6 and scale(tax) <= 6
        and abs(tax) <= amount and length(currency) = 3)
);

create table fee_bookings (
    id             uuid        primary key,
    at             timestamptz not null,
    -- What the line exists for, such as `reversal:{line}`.
    cause          text        not null,
    debit          text        not null check (debit in ('cost', 'expected', 'charged', 'suspense', 'fx', 'rounding', 'paid')),
    credit         text        not null check (credit in ('cost', 'expected', 'charged', 'suspense', 'fx', 'rounding', 'paid')),
    -- With tax, always positive: the direction stands in debit and credit.
    amount         numeric     not null,
    -- The tax that is part of the amount.
    tax            numeric     not null default 0,
    currency       text        not null check (currency ~ '^[A-Z]{3}$'),
    provider       text        not null,
    opening_id     uuid,
    -- The fee's code.
    code           text,
    -- The report and the physical line in it that a charge stands in.
    report_id      uuid,
    line           bigint,
    -- The expected fee that a charge settles.
    settles        uuid,
    -- The settlement that a payment is for.
    settlement_id  text,
    -- How many charges of the same expected fee, or payments of the same settlement, there were before, all of them reversed.
    settled_before integer     not null default 0,
    -- The line that a reversal undoes.
    reverses       uuid,

    constraint one_line_per_cause unique (cause),
    constraint one_charge_per_accrual unique (settles, settled_before),
    constraint one_reversal_per_line unique (reverses),
    constraint accounts_differ check (debit <> credit),
    constraint amount_is_positive check (amount > 0 and amount < 1000000000000000),
    constraint amount_is_exact check (scale(amount) <= 6 and scale(tax) <= 6),
    constraint tax_is_part_of_the_amount check (abs(tax) <= amount),
    constraint an_accrual_is_an_expected_fee check (cause not like 'accrual:%'),
    constraint a_payment_names_its_settlement check ((settlement_id is null) = (cause not like 'payment:%')
        and (settlement_id is null or ('charged' in (debit, credit) and 'paid' in (debit, credit)
            and cause = 'payment:' || provider || ':' || settlement_id || ':' || currency || ':' || settled_before))),
    constraint a_reversal_names_its_line check ((reverses is null) = (cause not like 'reversal:%')
        and (reverses is null or cause = 'reversal:' || reverses))
);

-- The deferred trigger `settles_once`, and the payments of a settlement.
create index fee_bookings_of_settlement on fee_bookings (provider, settlement_id) where settlement_id is not null;
-- What is booked for an opening.
create index fee_bookings_of_opening on fee_bookings (opening_id, id) where opening_id is not null;
-- The list of an account's lines. Partial: an ordinary charge moves from expected to charged.
create index fee_bookings_of_rare_debit on fee_bookings (debit, id) where debit <> 'expected';
create index fee_bookings_of_rare_credit on fee_bookings (credit, id) where credit <> 'charged';
-- Evidence of a report: the lines that its charges caused.
create index fee_bookings_of_report on fee_bookings (report_id, id) where report_id is not null;

-- All lines. A reader by cause asks `fee_bookings`: the cause of an expected fee is made here and stands in no index.
create view fee_ledger as
    select id, at, 'accrual:' || opening_id || ':' || code as cause, 'cost' as debit, 'expected' as credit, amount, tax, currency, provider,
           opening_id, code, price_list, null::uuid as report_id, null::bigint as line, null::uuid as settles,
           null::text as settlement_id, 0 as settled_before, null::uuid as reverses
      from expected_fees
     union all
    select id, at, cause, debit, credit, amount, tax, currency, provider, opening_id, code, null, report_id, line, settles, settlement_id,
           settled_before, reverses
      from fee_bookings;

create function fee_ledger_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$$;

create trigger append_only before update or delete on expected_fees
    for each row execute function fee_ledger_is_append_only();
create trigger append_only before update or delete on fee_bookings
    for each row execute function fee_ledger_is_append_only();
create trigger append_only before update or delete on price_lists
    for each row execute function fee_ledger_is_append_only();
-- A row trigger does not see a TRUNCATE, not even the owner's.
create trigger append_only_truncate before truncate on expected_fees
    for each statement execute function fee_ledger_is_append_only();
create trigger append_only_truncate before truncate on fee_bookings
    for each statement execute function fee_ledger_is_append_only();
create trigger append_only_truncate before truncate on price_lists
    for each statement execute function fee_ledger_is_append_only();

-- Sums of the lines, so that no reader adds up all of them: what was moved between two accounts is the total of its rows here. Each
-- statement that appends lines appends a row, for which no other statement waits; the sweeper replaces rows by their total. Read whole, and
-- never long.
create table fee_sums (
    provider text    not null,
    debit    text    not null,
    credit   text    not null,
    currency text    not null,
    amount   numeric not null,
    -- A key for logical replication. Random: see opening_count_changes. (0008)
    id       uuid    primary key default gen_random_uuid()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create function fee_lines_are_summed() returns trigger language plpgsql set search_path from current as $$
begin
    if tg_table_name = 'expected_fees' then
        insert into fee_sums (provider, debit, credit, currency, amount)
        select provider, 'cost', 'expected', currency, sum(amount) from lines group by provider, currency;
    else
        insert into fee_sums (provider, debit, credit, currency, amount)
        select provider, debit, credit, currency, sum(amount) from lines group by provider, debit, credit, currency;
    end if;
    return null;
end
$$;

create trigger summed after insert on expected_fees
    referencing new table as lines for each statement execute function fee_lines_are_summed();
create trigger summed after insert on fee_bookings
    referencing new table as lines for each statement execute function fee_lines_are_summed();

-- Corrects the sums by what the lines differ from them. An owner calls it after lines were put in with triggers switched off.
create function sum_fees() returns void language plpgsql set search_path from current as $$
begin
    -- Two calls at once would both add what is missing. The second waits for the commit of the first; its next statement, with a snapshot of its
    -- own, finds nothing to correct. The table is not locked: that would hold up every step that owes a fee.
    perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.fee_sums', 0));
    -- One statement, for one snapshot: a line and its sum are both in it, or neither is.
    insert into fee_sums (provider, debit, credit, currency, amount)
    select provider, debit, credit, currency, sum(amount)
      from (select provider, debit, credit, currency, amount from fee_ledger
             union all
            select provider, debit, credit, currency, -amount from fee_sums) as differences
     group by provider, debit, credit, currency
    having sum(amount) <> 0;
end
$$;

revoke execute on function sum_fees() from public;

-- A reversal moves the same amount back, and reverses no reversal.
create function fee_booking_reverses_exactly() returns trigger language plpgsql set search_path from current as $$
declare
    reversed record;
begin
    select * into reversed from fee_ledger where id = new.reverses;
    if not found or reversed.reverses is not null or reversed.debit <> new.credit or reversed.credit <> new.debit
       or reversed.amount <> new.amount or reversed.currency <> new.currency or reversed.provider <> new.provider then
        raise exception 'line % does not reverse line %', new.id, new.reverses
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end
$$;

create trigger reverses_exactly before insert on fee_bookings
    for each row when (new.reverses is not null) execute function fee_booking_reverses_exactly();

-- An expected fee is settled again, and a settlement paid again, only after the line before was reversed. Deferred: a line and the
-- reversal of the one before may come in one statement.
create function fee_booking_settles_once() returns trigger language plpgsql set search_path from current as $$
begin
    if exists (select from fee_bookings r where r.reverses = new.id) then
        return null;
    end if;
    if exists (select from fee_bookings other
                where other.settles = new.settles and other.id <> new.id
                  and not exists (select from fee_bookings r where r.reverses = other.id))
       or exists (select from fee_bookings other
                   where other.provider = new.provider and other.settlement_id = new.settlement_id
                     and other.currency = new.currency and other.id <> new.id
                     and not exists (select from fee_bookings r where r.reverses = other.id)) then
        raise exception 'line % settles % a second time', new.id, coalesce(new.settles::text, new.settlement_id)
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;

create constraint trigger settles_once after insert on fee_bookings deferrable initially deferred
    for each row when (new.settled_before > 0) execute function fee_booking_settles_once();

-- The lines that a provider charges, each in its newest version, whatever files it came in. A line that came again with other content
-- replaces its older version here; `report_rows` keeps both.
create table charge_lines (
    provider      text        not null,
    line_id       text        not null,
    -- The row that counts: of the newest `as_of`, and of the largest digest where two files have the same.
    report_id     uuid        not null,
    line          bigint      not null,
    as_of         timestamptz not null,
    digest        bytea       not null check (length(digest) = 32),
    -- When the line came for the first time.
    received_at   timestamptz not null,
    -- The period of its file: a group stands for the fees of that time.
    period_from   timestamptz,
    period_until  timestamptz,
    -- This version came in a complete file: a group of an incomplete one waits for it.
    is_complete   boolean     not null,
    line_type     text        not null,
    -- An opening's id, else what the row names. With the code it is the fee that the line belongs to.
    subject       text        not null,
    opening_id    uuid,
    code          text        not null,
    settlement_id text,
    currency      text        not null,
    amount        numeric     not null,
    tax           numeric     not null,
    -- The canonical row.
    content       jsonb       not null,
    class         text        not null,
    rule          text        not null,
    -- What is booked for the line, the ledger's lines that say so, and how often it was booked.
    bookings      jsonb       not null default '[]',
    ledger        uuid[]      not null default '{}',
    generation    integer     not null default 0,
    -- A group or settlement whose lines have changed since it was judged.
    is_stale      boolean     not null default false,
    -- Its fee had too many lines to be judged together.
    is_crowded    boolean     not null default false,
    primary key (line_id, provider)
);

-- The provider stands last: with it first, the planner takes any of these indexes for a line's id while the table is small, and keeps that
-- plan when it has grown.

-- The lines of a fee: report_rows::of_shared_fees and charge_lines::write.
create index charge_lines_of_fee on charge_lines (subject, code, provider);
-- The lines of a settlement, and the settlement itself among them, which may be all lines of a month: charge_lines::settlements.
create index charge_lines_of_settlement on charge_lines (settlement_id, provider) where settlement_id is not null;
create index charge_lines_settlements on charge_lines (settlement_id, provider) where line_type = 'settlement';
-- charge_lines::settlements: the newest first, page by page.
create index charge_lines_newest_settlements on charge_lines (as_of, report_id, line) where line_type = 'settlement';
-- charge_lines::groups.
create index charge_lines_of_group on charge_lines (code, currency, provider) where line_type = 'group';
-- charge_lines::stale.
create index charge_lines_stale on charge_lines (provider, line_id) where is_stale;

-- The settlements that charges or bank entries name, and what is booked as paid.
create table settlements (
    provider      text    not null,
    settlement_id text    not null,
    -- The word by which texts that name it are found. Null: it is not looked for.
    word          text,
    -- What is booked, and the ledger's lines that say so.
    payments      jsonb   not null default '[]',
    ledger        uuid[]  not null default '{}',
    -- Something is still to be paid.
    is_open       boolean not null default false,
    -- Its lines, its entries or their statements have changed since it was judged.
    is_stale      boolean not null default true,
    -- When a window ends.
    look_at       timestamptz,
    primary key (provider, settlement_id)
);

-- bank_words::insert, bank_words::entries and settlements::mark_named.
create index settlements_by_word on settlements (provider, word);
-- settlements::mark_open.
create index settlements_open on settlements (provider) where is_open;
-- settlements::due and providers_due.
create index settlements_stale on settlements (provider, settlement_id) where is_stale;
create index settlements_to_look_at on settlements (look_at) where look_at is not null;
