-- Bank statements, and the settlements that their entries pay. The entries themselves are rows of reports.

-- A statement or notification as one file has it. Statements of an account are judged together, whatever files they came in.
create table bank_statements (
    report_id   uuid    not null references reports (id),
    -- Its number in the file; rows name it.
    n           bigint  not null,
    provider    text    not null,
    -- Tells accounts apart without their number.
    account_key text    not null,
    line        bigint  not null,
    content     jsonb   not null,
    -- Whether its entries count. A statement is decided when its report is applied.
    outcome     text    not null default 'undecided'
                        check (outcome in ('undecided', 'sound', 'BALANCE_MISMATCH', 'STATEMENT_GAP')),
    primary key (report_id, n)
);

create index bank_statements_of_account on bank_statements (provider, account_key);

-- An erasure reads the texts of all bank rows.
create index report_rows_of_bank on report_rows (report_id, n) where kind = 'bank' and not redacted;

-- The words of bank rows by which settlements are looked up.
create table bank_words (
    report_id uuid   not null,
    n         bigint not null,
    word      text   not null,
    provider  text   not null,
    primary key (report_id, n, word)
);

create index bank_words_by_word on bank_words (provider, word);

-- The settlements that charges or bank entries name, and what is booked as paid.
create table settlements (
    provider      text    not null,
    settlement_id text    not null,
    -- The word by which texts that name it are found; none: it is not looked for.
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

create index settlements_by_word on settlements (provider, word);
create index settlements_stale on settlements (provider, settlement_id) where is_stale;
create index settlements_open on settlements (provider) where is_open;
create index settlements_to_look_at on settlements (look_at) where look_at is not null;
