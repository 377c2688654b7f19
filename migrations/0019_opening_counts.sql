-- How many openings there are in each state and market, so that nobody has to count them: a count reads all there are.
--
-- Each statement that adds to the history leaves what it changed here, one row per state and market, which no other waits for;
-- the sweeper adds them up. A trigger does it, so that a version that knows nothing of it counts too.

create table opening_counts (
    state  text   not null,
    market text   not null,
    count  bigint not null,
    primary key (state, market)
);

-- Not added up yet. Without an index: it is read whole, and never long.
create table opening_count_changes (
    state  text   not null,
    market text   not null,
    change bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create function opening_history_counts() returns trigger language plpgsql security definer as $$
begin
    insert into opening_count_changes (state, market, change)
    select moved.state, moved.market, sum(moved.change)
      from (select s.state, s.change, (select o.market from account_openings o where o.id = steps.opening_id) as market
              from steps cross join lateral (values (steps.to_state, 1), (steps.from_state, -1)) as s(state, change)
             where s.state is not null) as moved
     group by moved.state, moved.market
    having sum(moved.change) <> 0;
    return null;
end
$$;

create trigger counted after insert on opening_history
    referencing new table as steps for each statement execute function opening_history_counts();

-- Counts what stands; what changes meanwhile stays a change. For 0020, and for whoever has put rows in or taken rows out with
-- triggers switched off.
create function count_openings() returns void language plpgsql as $$
begin
    -- Nobody adds up meanwhile.
    lock table opening_counts in share row exclusive mode;
    -- One statement, for one snapshot: an opening and its change are both in it, or neither is.
    with counted as (
        select o.state, o.market, count(*) as count from account_openings o group by o.state, o.market
    ), gone as (
        delete from opening_count_changes
    )
    insert into opening_counts as held (state, market, count)
    select coalesce(c.state, h.state), coalesce(c.market, h.market), coalesce(c.count, 0)
      from counted c full join opening_counts h on h.state = c.state and h.market = c.market
        on conflict (state, market) do update set count = excluded.count;
end
$$;

-- As the guards of the history: they read this schema's tables whoever calls.
do $$
begin
    execute format('alter function opening_history_counts() set search_path to %I, pg_temp', current_schema());
    execute format('alter function count_openings() set search_path to %I, pg_temp', current_schema());
end
$$;
revoke execute on function count_openings() from public;
