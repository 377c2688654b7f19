-- Refused webhooks: requests that the webhook listener answered with an error, kept so that a mistake of ours (a wrong secret, a clock that
-- is off) loses nothing. A request that was refused by mistake is verified again and becomes a fact.
--
-- Any sender can fill the table, so it is bounded (REJECTED_MAX_BYTES): the oldest rows go, and one source may hold half. Triggers keep the
-- sums that the bound needs, so that neither has to be counted and SQL written by hand counts too. No body was parsed: it is bytes.

-- As in 0001: triggers read this schema's tables and no temporary ones.
select set_config('search_path', format('%I, pg_temp', current_schema()), true);

create table rejected_requests (
    id          uuid        primary key,
    -- The name in the path, cut. It is not verified.
    provider    text        not null,
    cause       text        not null check (cause in ('signature_missing', 'signature_wrong', 'signature_stale',
                                                      'too_large', 'unknown_provider', 'content_type')),
    received_at timestamptz not null,
    -- An IPv4 address, or the /64 of an IPv6 address.
    source      text        not null,
    method      text        not null,
    path        text        not null,
    headers     jsonb       not null,
    -- As it came. Null: it was too large, or it did not come.
    body        bytea,
    -- The length of the body, or the length that the request declared. Null: unknown.
    body_bytes  bigint,
    -- What the row counts for: body, headers, path, and the size of an empty row.
    bytes       bigint      not null check (bytes > 0),
    -- The secrets that it was last verified against in bulk, in vain: the same ones refuse it again.
    checked_by  text,
    -- Once it was verified after all: when, its key in the inbox, how the inbox took it, and the act.
    verified_at timestamptz,
    event_id    text,
    outcome     text,
    action_id   uuid,

    constraint verified_has_its_outcome check ((verified_at is not null) = (outcome is not null))
);

-- refused_webhooks::oldest_of and list_of_source.
create index rejected_requests_of_source on rejected_requests (source, id);
-- refused_webhooks::candidates and remaining.
create index rejected_requests_unverified on rejected_requests (id) where verified_at is null and body is not null;

-- The bytes held of each source, and in all.
create table rejected_sources (
    source text   primary key,
    bytes  bigint not null check (bytes > 0)
);

create table rejected_total (
    id    boolean primary key default true check (id),
    bytes bigint  not null check (bytes >= 0)
);

insert into rejected_total (bytes) values (0);

-- Lock order: the row of the total, then those of the sources. Two writers wait for each other at the total, and never in a circle.
create function rejected_requests_came() returns trigger language plpgsql set search_path from current as $$
begin
    update rejected_total set bytes = bytes + (select coalesce(sum(c.bytes), 0) from changed c);
    insert into rejected_sources as s (source, bytes)
    select c.source, sum(c.bytes) from changed c group by c.source
        on conflict (source) do update set bytes = s.bytes + excluded.bytes;
    return null;
end
$$;

create function rejected_requests_went() returns trigger language plpgsql set search_path from current as $$
begin
    if tg_op = 'TRUNCATE' then
        update rejected_total set bytes = 0;
        delete from rejected_sources;
        return null;
    end if;
    update rejected_total set bytes = bytes - (select coalesce(sum(c.bytes), 0) from changed c);
    -- A source of which nothing is left goes, so that there are never more of them than requests.
    delete from rejected_sources s
     using (select c.source, sum(c.bytes) as bytes from changed c group by c.source) as gone
     where s.source = gone.source and s.bytes = gone.bytes;
    update rejected_sources s set bytes = s.bytes - gone.bytes
      from (select c.source, sum(c.bytes) as bytes from changed c group by c.source) as gone
     where s.source = gone.source and s.bytes > gone.bytes;
    return null;
end
$$;

create trigger counted_in after insert on rejected_requests
    referencing new table as changed for each statement execute function rejected_requests_came();
create trigger counted_out after delete on rejected_requests
    referencing old table as changed for each statement execute function rejected_requests_went();
create trigger counted_out_all after truncate on rejected_requests
    for each statement execute function rejected_requests_went();
