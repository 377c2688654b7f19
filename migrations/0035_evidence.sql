-- What evidence of a report needs beside the report.

-- Every profile that ever read a report, so that its file can be read again years later.
create table report_profiles (
    sha256        bytea       primary key check (length(sha256) = 32),
    content       text        not null,
    first_used_at timestamptz not null
);

-- The ledger's lines that a report's charges caused.
create index fee_ledger_of_report on fee_ledger (report_id, id) where report_id is not null;
