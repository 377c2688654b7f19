-- A key for the one table that had none, and since when a market waits of which no webhook has come.

-- Logical replication (`create publication … for all tables`) refuses deletes and updates in a table without a key. The key is
-- random: replication does not carry the state of a sequence, so a cell that was moved by it would hand out keys that are taken.
alter table opening_count_changes add column id uuid primary key default gen_random_uuid();

-- A mark is made when the first opening of a market begins to wait for a provider, so that its silence has a beginning.
alter table webhook_marks
    alter column last_received_at drop not null,
    add column waits_since timestamptz,
    add constraint a_mark_has_a_time check (last_received_at is not null or waits_since is not null);
