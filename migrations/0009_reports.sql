-- Reconciliation: report files of a provider, what was found in them, and what became of it.
--
-- A file is kept as it came, and each of its rows as it was classified, so that a finding can be proved years later. The same bytes are the
-- same report. A finding about one subject and aspect is one mismatch, however many files say it.

create table reports (
    id           uuid        primary key,
    provider     text        not null,
    kind         text        not null check (kind in ('register', 'charges', 'bank')),
    format       text        not null,
    -- SHA-256 of the profile that the file was read by. Null: none read it.
    profile      bytea       check (length(profile) = 32),
    file_name    text,
    -- Size and SHA-256 of the decoded file. A pull has a digest once its list is read.
    bytes        bigint      not null,
    sha256       bytea       check (length(sha256) = 32),
    state        text        not null check (state in ('received', 'reading', 'held', 'finished', 'discarded', 'failed')),
    -- Only a complete file says what is absent.
    complete     boolean     not null default false,
    period_from  timestamptz,
    period_until timestamptz,
    -- When the provider looked at its books for it.
    as_of        timestamptz,
    -- All rows, the bad ones too.
    rows         bigint      not null default 0,
    bad_rows     bigint      not null default 0,
    -- {class: rows}, with the absences.
    counts       jsonb       not null default '{}',
    -- [{"currency", "amount"}]
    sums         jsonb       not null default '[]',
    -- Read, judged and listed, without any effect.
    dry_run      boolean     not null,
    -- The report that this one replaces.
    supersedes   uuid,
    -- The number of a scheduled pull among those of its provider.
    scheduled_n  integer,
    -- Why it failed.
    failure      text,
    -- The name of the token, or the service for a pull.
    received_by  text        not null,
    received_at  timestamptz not null,
    finished_at  timestamptz,
    -- An operator released it: it is not held again.
    released     boolean     not null default false,
    -- What the worker does next, and how far it is: the rows that are stored, or those that are applied.
    stage        text        not null check (stage in ('pull', 'read', 'judge', 'apply', 'done')),
    position     bigint      not null default 0,
    -- When the worker looks at it next; a claim moves it by the lease. Null: there is no work.
    due_at       timestamptz,
    lease_token  uuid,
    -- Claims since the last progress: a report that gets nowhere is given up, and holds up no other.
    claims       integer     not null default 0,

    constraint due_while_there_is_work check ((due_at is null) = (state in ('held', 'finished', 'discarded', 'failed'))),
    constraint only_pulls_lack_a_digest check (sha256 is not null or format = 'pull')
);

-- A dry run is no copy of anything, and a discarded report does not count. Two pulls may read the same at different times.
create unique index one_report_per_content on reports (provider, kind, sha256)
    where not dry_run and state <> 'discarded' and format <> 'pull';
-- However many replicas run, each scheduled pull comes once, and a list is read once at a time for the same period.
create unique index one_scheduled_pull on reports (provider, scheduled_n) where scheduled_n is not null;
create unique index one_pull_per_period on reports (provider, period_from, period_until) where stage = 'pull';
-- The queue: reports::claim.
create index reports_due on reports (due_at, id) where due_at is not null;

-- The file as it was received, decoded, in pieces of 1 MiB. Stored outside the row and uncompressed, so that an erasure can overwrite bytes
-- in place.
create table report_chunks (
    report_id uuid    not null references reports (id),
    n         integer not null,
    bytes     bytea   not null,
    primary key (report_id, n)
);
alter table report_chunks alter column bytes set storage external;

-- The ranges of the file whose values an erasure overwrote. The report's sha256 stays that of the bytes as they were received.
create table report_redactions (
    report_id uuid   not null references reports (id),
    byte      bigint not null,
    length    bigint not null,
    primary key (report_id, byte)
);

-- Every profile that ever read a report, so that its file can be read again years later.
create table report_profiles (
    sha256        bytea       primary key check (length(sha256) = 32),
    content       text        not null,
    first_used_at timestamptz not null
);

-- A pull: how far a provider's list is read.
create table report_pulls (
    report_id  uuid        primary key references reports (id),
    -- When the first page was asked for: no answer is older.
    began_at   timestamptz,
    -- Of the next page; null for the first one, and after the last one.
    cursor     text,
    pages      integer     not null default 0,
    is_over    boolean     not null default false,
    -- Failed calls since the last page, and unusable answers and refusals in all.
    tries      integer     not null default 0,
    attempts   integer     not null default 0,
    retry_from timestamptz not null
);

-- The rows of its pages until the last page is read: then they become the report's file.
create table report_pages (
    report_id uuid    not null references reports (id),
    n         integer not null,
    -- A hash of the next page's cursor: one that comes again shows a list without an end.
    next      bigint,
    bytes     bytea   not null,
    primary key (report_id, n)
);

-- One canonical row per report row, written once with its class and the rule that gave it. Only conflicts and erasures change a row
-- later. No foreign key to the report: the commit that inserts rows also moves the report's position, and fails without the report.
-- Checking the key again for each row was a quarter of the insert.
create table report_rows (
    report_id   uuid    not null,
    n           bigint  not null,
    -- Where the row stands in the file: its line, its first byte, its bytes.
    line        bigint  not null,
    byte        bigint  not null,
    length      bigint  not null,
    provider    text    not null,
    kind        text    not null,
    -- What the file calls the row; the same key with other content is a conflict or a newer version.
    row_key     text    not null,
    -- SHA-256 of the canonical row.
    digest      bytea   not null check (length(digest) = 32),
    -- A register's tracking id.
    provider_reference text,
    reference   text,
    status      text,
    amount      numeric,
    currency    text,
    class       text    not null,
    rule        text    not null,
    opening_id  uuid,
    -- The canonical row, and what we held when it was classified.
    theirs      jsonb   not null,
    ours        jsonb,
    -- The comparison found a difference, known or new.
    found       boolean not null,
    -- An erasure emptied it.
    redacted    boolean not null default false,
    primary key (report_id, n)
);

-- report_rows::of_keys: what a row key was said to be in other files.
create index report_rows_by_key on report_rows (provider, row_key) where kind <> 'register';
-- mismatches::renew_evidence and openings::absent: the same of a tracking id. Without the provider: tracking ids tell providers apart,
-- and comparing its name first is work for each entry.
create index report_rows_by_reference on report_rows (provider_reference) where kind = 'register';
-- report_rows::strangers: how many rows of a file name nothing of ours.
create index report_rows_of_strangers on report_rows (report_id) where opening_id is null and kind <> 'bank';
-- report_rows::to_apply. Partial: nearly all rows are matched.
create index report_rows_found on report_rows (report_id, n) where found;
-- The list of a report's rows by class.
create index report_rows_of_class on report_rows (report_id, class, n) where class not in ('MATCHED', 'REPEATED');
-- openings::absent, an opening's page, an erasure.
create index report_rows_of_opening on report_rows (opening_id) where opening_id is not null;
-- report_rows::groups_and_settlements: the few rows of a file that stand for many.
create index report_rows_of_wholes on report_rows (report_id) where kind = 'charges' and status in ('group', 'settlement');
-- report_rows::erase_mentions reads the texts of all bank rows.
create index report_rows_of_bank on report_rows (report_id, n) where kind = 'bank' and not redacted;

-- A row that could not be read.
create table report_errors (
    report_id uuid   not null references reports (id),
    n         bigint not null,
    line      bigint not null,
    byte      bigint not null,
    -- Bytes of the record: an erasure searches them.
    length    bigint not null,
    field     text,
    code      text   not null,
    detail    text   not null,
    primary key (report_id, n)
);

create table mismatches (
    id          uuid        primary key,
    provider    text        not null,
    kind        text        not null check (kind in ('register', 'charges', 'bank')),
    -- What it is about, such as an opening's id or a row key, and which side of it.
    subject     text        not null,
    aspect      text        not null,
    class       text        not null,
    state       text        not null check (state in ('waiting', 'applied', 'case', 'settled', 'resolved')),
    -- When a waiting one becomes a case.
    due_at      timestamptz,
    opening_id  uuid,
    market      text,
    provider_reference text,
    -- What each side says, how they differ, and the act that is suggested.
    ours        jsonb       not null,
    theirs      jsonb       not null,
    differences jsonb       not null,
    suggested   jsonb       not null,
    -- The newest row that says it, to be classified again, and the time at which the provider looked at its books for it.
    evidence    jsonb,
    as_of       timestamptz,
    -- The fact that it became.
    fact_id     uuid,
    case_id     uuid references cases (id),
    -- When the worker looks at it again. Null: it is settled or resolved.
    look_at     timestamptz,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,

    constraint one_mismatch_per_subject_and_aspect unique (provider, kind, subject, aspect),
    constraint open_ones_are_looked_at check ((look_at is null) = (state in ('settled', 'resolved')))
);

-- The queue: mismatches::claim and claim_charges.
create index mismatches_to_look_at on mismatches (look_at, id) where look_at is not null;
-- live: what changed since the last look.
create index mismatches_changed on mismatches (updated_at) where look_at is not null;
-- mismatches::claim_charges: charges that wait for the step that owes them, which makes them due.
create index mismatches_awaiting_steps on mismatches (provider, id)
    where kind = 'charges' and aspect = 'charge' and class = 'TIMING_MISMATCH' and state = 'waiting';
-- mismatches::lock_of_opening, an opening's page.
create index mismatches_of_opening on mismatches (opening_id) where opening_id is not null;
-- Lists of a class or a state, which may be rare among all.
create index mismatches_of_class on mismatches (class, id);
create index mismatches_in_state on mismatches (state, id);
-- mismatches::lock_of_case, and the list of cases.
create index mismatches_of_case on mismatches (case_id) where case_id is not null;

-- The report rows that say a mismatch.
create table mismatch_reports (
    mismatch_id uuid   not null references mismatches (id),
    report_id   uuid   not null references reports (id),
    -- The row's line. 0: the row is missing.
    line        bigint not null,
    primary key (mismatch_id, report_id, line)
);

-- mismatches::supersede, the mismatches of a report in their order, and its evidence.
create index mismatch_reports_of_report on mismatch_reports (report_id, mismatch_id);

-- What became of a mismatch, append-only.
create table mismatch_steps (
    mismatch_id uuid        not null references mismatches (id),
    n           integer     not null,
    at          timestamptz not null,
    -- Null: the first step.
    from_state  text,
    to_state    text        not null,
    class       text        not null,
    -- A person's name, or 'reconciliation'.
    by          text        not null,
    reason      text        not null,
    primary key (mismatch_id, n)
);

-- A bank statement or notification as one file has it; its entries are rows of reports. Statements of an account are judged together,
-- whatever files they came in.
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

-- bank_statements::of_accounts.
create index bank_statements_of_account on bank_statements (provider, account_key);

-- The words of bank rows by which settlements are looked up.
create table bank_words (
    report_id uuid   not null,
    n         bigint not null,
    word      text   not null,
    provider  text   not null,
    primary key (report_id, n, word)
);

-- bank_words::entries.
create index bank_words_by_word on bank_words (provider, word);
