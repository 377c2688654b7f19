-- Reports of a provider in bulk, what was found in them, and what became of it.

create table reports (
    id          uuid        primary key,
    provider    text        not null,
    kind        text        not null check (kind in ('register', 'charges', 'bank')),
    format      text        not null,
    -- Of the profile that a file was read by.
    profile     bytea       check (length(profile) = 32),
    file_name   text,
    -- Of the decoded bytes; a pull has a digest once its list is read.
    bytes       bigint      not null,
    sha256      bytea       check (length(sha256) = 32),
    state       text        not null check (state in ('received', 'reading', 'held', 'finished', 'discarded', 'failed')),
    -- Only a complete file says what is absent.
    complete    boolean     not null default false,
    period_from timestamptz,
    period_until timestamptz,
    as_of       timestamptz,
    -- All rows, the bad ones too.
    rows        bigint      not null default 0,
    bad_rows    bigint      not null default 0,
    -- {class: rows}, with the absences.
    counts      jsonb       not null default '{}',
    -- [{"currency", "amount"}]
    sums        jsonb       not null default '[]',
    -- Read, judged and listed, without any effect.
    dry_run     boolean     not null,
    supersedes  uuid,
    -- The number of a scheduled pull among those of its provider.
    scheduled_n integer,
    -- Why it failed.
    failure     text,
    received_by text        not null,
    received_at timestamptz not null,
    finished_at timestamptz,
    -- An operator released it: it is not held again.
    released    boolean     not null default false,
    -- What the worker does next, and how far it is: the rows that are stored, or those that are applied.
    stage       text        not null check (stage in ('pull', 'read', 'judge', 'apply', 'done')),
    position    bigint      not null default 0,
    -- Due while there is work; a claim moves it by the lease.
    due_at      timestamptz,
    lease_token uuid,
    -- Claims since the last progress: a report that gets nowhere is given up, and holds up no other.
    claims      integer     not null default 0,
    constraint due_while_there_is_work check ((due_at is null) = (state in ('held', 'finished', 'discarded', 'failed'))),
    constraint only_pulls_lack_a_digest check (sha256 is not null or format = 'pull')
);

-- The same bytes are the same report. A dry run is no copy of anything, and a discarded report does not count. Two pulls may read the
-- same at different times.
create unique index one_report_per_content on reports (provider, kind, sha256)
    where not dry_run and state <> 'discarded' and format <> 'pull';
-- However many replicas run, each scheduled pull comes once, and a list is read once at a time for the same period.
create unique index one_scheduled_pull on reports (provider, scheduled_n) where scheduled_n is not null;
create unique index one_pull_per_period on reports (provider, period_from, period_until) where stage = 'pull';
create index reports_due on reports (due_at, id) where due_at is not null;

-- The file as it was received, decoded, in pieces of 1 MiB. Stored outside the row and uncompressed, so that an erasure can
-- overwrite bytes in place.
create table report_chunks (
    report_id uuid    not null references reports (id),
    n         integer not null,
    bytes     bytea   not null,
    primary key (report_id, n)
);
alter table report_chunks alter column bytes set storage external;

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
    line        bigint  not null,
    byte        bigint  not null,
    length      bigint  not null,
    provider    text    not null,
    kind        text    not null,
    row_key     text    not null,
    -- Of the canonical row.
    digest      bytea   not null check (length(digest) = 32),
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
    redacted    boolean not null default false,
    primary key (report_id, n)
);

-- What a row key or a tracking id was said to be in other files.
create index report_rows_by_key on report_rows (provider, row_key) where kind <> 'register';
-- Without the provider: tracking ids tell providers apart, and comparing its name first is work for each entry.
create index report_rows_by_reference on report_rows (provider_reference) where kind = 'register';
-- Partial: nearly all rows are matched.
create index report_rows_of_strangers on report_rows (report_id) where opening_id is null and kind <> 'bank';
create index report_rows_found on report_rows (report_id, n) where found;
create index report_rows_of_class on report_rows (report_id, class, n) where class not in ('MATCHED', 'REPEATED');
create index report_rows_of_opening on report_rows (opening_id) where opening_id is not null;

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

-- One finding about one subject and aspect, however many files say it.
create table mismatches (
    id          uuid        primary key,
    provider    text        not null,
    kind        text        not null check (kind in ('register', 'charges', 'bank')),
    -- Whom or what it is about, and which side of it: unique together.
    subject     text        not null,
    aspect      text        not null,
    class       text        not null,
    state       text        not null check (state in ('waiting', 'applied', 'case', 'settled', 'resolved')),
    -- When a waiting one becomes a case.
    due_at      timestamptz,
    opening_id  uuid,
    market      text,
    provider_reference text,
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
    -- When the worker looks at it again; null once it is settled or resolved.
    look_at     timestamptz,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    constraint one_mismatch_per_subject_and_aspect unique (provider, kind, subject, aspect),
    constraint open_ones_are_looked_at check ((look_at is null) = (state in ('settled', 'resolved')))
);

create index mismatches_to_look_at on mismatches (look_at, id) where look_at is not null;
create index mismatches_of_reference on mismatches (provider, provider_reference) where provider_reference is not null;
create index mismatches_of_opening on mismatches (opening_id) where opening_id is not null;
create index mismatches_of_case on mismatches (case_id) where case_id is not null;

-- The report rows that say it.
create table mismatch_reports (
    mismatch_id uuid   not null references mismatches (id),
    report_id   uuid   not null references reports (id),
    -- The row's line; 0 where a row is missing.
    line        bigint not null,
    primary key (mismatch_id, report_id, line)
);
create index mismatch_reports_of_report on mismatch_reports (report_id);

-- What became of it, append-only.
create table mismatch_steps (
    mismatch_id uuid        not null references mismatches (id),
    n           integer     not null,
    at          timestamptz not null,
    from_state  text,
    to_state    text        not null,
    class       text        not null,
    -- A person's name, or 'reconciliation'.
    by          text        not null,
    reason      text        not null,
    primary key (mismatch_id, n)
);

-- A case may be about a row that names no opening, or about a report.
alter table cases alter column opening_id drop not null;
create unique index one_case_per_cause_without_opening on cases (kind, cause) where opening_id is null;

-- An event of reconciliation is about a report or a case, and so are its deliveries: they may belong to no opening. A null
-- `subject` means the opening.
alter table events alter column opening_id drop not null, add column subject uuid;
alter table events add constraint an_event_has_a_subject check (opening_id is not null or subject is not null) not valid;
alter table outbox alter column opening_id drop not null;
alter table outbox add constraint only_deliveries_have_no_opening
    check (opening_id is not null or topic = 'deliver_event') not valid;
alter table outbox_archive alter column opening_id drop not null;
