-- The ranges of report files whose values an erasure overwrote. The report's sha256 stays that of the bytes as they were received.
create table report_redactions (
    report_id uuid   not null references reports (id),
    byte      bigint not null,
    length    bigint not null,
    primary key (report_id, byte)
);
