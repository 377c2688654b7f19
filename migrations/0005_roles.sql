-- What it takes to run the service as a role that owns nothing: guards that it cannot lead astray, and a row that it can
-- write to show that it still can.

-- A function without a search path of its own looks where the session looks, and a session looks among its temporary
-- tables first: whoever may connect could put a history of their own in front of the real one, and the guards would read
-- that. Pinned to this schema, with temporary tables last, they read the real one whoever asks.
do $$
declare
    guard text;
begin
    foreach guard in array array['opening_history_takes_legal_steps()', 'opening_history_is_append_only()',
                                 'opening_agrees_with_history()'] loop
        execute format('alter function %s set search_path to %I, pg_temp', guard, current_schema());
    end loop;
end
$$;

-- One row, written to learn whether the database still takes writes. No index covers what changes and the page has room,
-- so that its updates stay on it for ever.
create table heartbeats (
    id boolean     primary key check (id),
    at timestamptz not null
) with (fillfactor = 50);

-- Fails where the disk is full. An update that finds room on its page does not: it needs no new block, and the file that
-- takes its log was allocated long ago. A sort that may not stay in memory does need new blocks, where the tables lie too,
-- and leaves nothing behind: some 300 kB for less than a millisecond.
create function room_on_disk() returns bigint language sql volatile set work_mem = '64kB' as $$
    select count(filler)
      from (select repeat(n::text, 1000) as filler from generate_series(100, 199) as n order by filler) as spilled
$$;
