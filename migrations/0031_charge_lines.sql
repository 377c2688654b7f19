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
    -- When the line came for the first time.
    received_at   timestamptz not null,
    -- The period of its file: a group stands for the fees of that time.
    period_from   timestamptz,
    period_until  timestamptz,
    -- This version came in a complete file: a group of an incomplete one waits for it.
    is_complete   boolean     not null,
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
    -- Its fee had too many lines to be judged together.
    is_crowded    boolean     not null default false,
    primary key (line_id, provider)
);

-- The provider stands last: with it first, the planner takes any of these indexes for a line's id while the table is small, and
-- keeps that plan when it has grown.
create index charge_lines_of_fee on charge_lines (subject, code, provider);
create index charge_lines_of_settlement on charge_lines (settlement_id, provider) where settlement_id is not null;
-- A settlement among its lines, which may be all lines of a month.
create index charge_lines_settlements on charge_lines (settlement_id, provider) where line_type = 'settlement';
create index charge_lines_newest_settlements on charge_lines (as_of, report_id, line) where line_type = 'settlement';
create index charge_lines_of_group on charge_lines (code, currency, provider) where line_type = 'group';
create index charge_lines_stale on charge_lines (provider, line_id) where is_stale;

-- Charges that wait for the step that owes them: the step makes them due.
create index mismatches_awaiting_steps on mismatches (provider, id)
    where kind = 'charges' and aspect = 'charge' and class = 'TIMING_MISMATCH' and state = 'waiting';

-- The few rows of a file that stand for many.
create index report_rows_of_wholes on report_rows (report_id) where kind = 'charges' and status in ('group', 'settlement');
