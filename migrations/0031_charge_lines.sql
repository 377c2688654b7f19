-- The lines that a provider charges, each in its newest version, whatever files it came in. A line that came again with other
-- content replaces its older version here; `report_rows` keeps both.

create table charge_lines (
    provider      text        not null,
    line_id       text        not null,
    -- The row that counts: of the newest `as_of`, and of the largest digest where two files have the same.
    report_id     uuid        not null,
    line          bigint      not null,
    as_of         timestamptz not null,
    digest        bytea       not null check (length(digest) = 32),
    received_at   timestamptz not null,
    -- The period of its file: a group stands for the fees of that time.
    period_from   timestamptz,
    period_until  timestamptz,
    line_type     text        not null,
    -- Whom the line is for: an opening's id, else what the row names. With the code it is the fee that the line belongs to.
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
    primary key (provider, line_id)
);

create index charge_lines_of_fee on charge_lines (provider, subject, code);
create index charge_lines_of_settlement on charge_lines (provider, settlement_id) where settlement_id is not null;
create index charge_lines_of_group on charge_lines (provider, code, currency) where line_type = 'group';
create index charge_lines_stale on charge_lines (provider, line_id) where is_stale;
