-- Requests to the webhook listener that were refused, so that a mistake of ours (a wrong secret, a clock that is off) loses
-- nothing: what was refused by mistake is verified again and taken in. And which secrets providers sign with, so that an
-- old one is retired on evidence.
--
-- Anybody can send what is refused, so the table is bounded (REJECTED_MAX_BYTES): the oldest go, and one source may hold half.
-- Nothing here was parsed: a body is bytes.

create table rejected_requests (
    id          uuid        primary key,
    -- The name in the path, cut; nobody vouches for it.
    provider    text        not null,
    cause       text        not null check (cause in ('signature_missing', 'signature_wrong', 'signature_stale',
                                                      'too_large', 'unknown_provider', 'content_type')),
    received_at timestamptz not null,
    -- Who is counted: an IPv4 address, or the /64 of an IPv6 one.
    source      text        not null,
    method      text        not null,
    path        text        not null,
    headers     jsonb       not null,
    -- As it came. Null: it was too large, or it did not come.
    body        bytea,
    -- How long it was, or said that it was, where that is known.
    body_bytes  bigint,
    -- What the row counts for: body, headers, path, and what a row takes by itself.
    bytes       bigint      not null check (bytes > 0),
    -- Under which secrets it was last looked at in bulk and still refused: the same ones refuse it again.
    checked_by  text,
    -- When it was believed after all, the inbox key under which it was taken in, what the inbox made of it, and whose act it was.
    verified_at timestamptz,
    event_id    text,
    outcome     text,
    action_id   uuid,

    constraint verified_has_its_outcome check ((verified_at is not null) = (outcome is not null))
);

create index rejected_requests_of_source on rejected_requests (source, id);
create index rejected_requests_unverified on rejected_requests (id) where verified_at is null and body is not null;

-- What is held of each source, and in all, so that neither has to be counted. Triggers keep both, whoever writes.
create table rejected_sources (
    source text   primary key,
    bytes  bigint not null check (bytes > 0)
);

create table rejected_total (
    id    boolean primary key default true check (id),
    bytes bigint  not null check (bytes >= 0)
);
insert into rejected_total (bytes) values (0);

-- Whoever changes a counter holds the row of the total first: two that write at once wait for each other there, and never in a
-- circle.
create function rejected_requests_came() returns trigger language plpgsql as $$
begin
    update rejected_total set bytes = bytes + (select coalesce(sum(c.bytes), 0) from changed c);
    insert into rejected_sources as s (source, bytes)
    select c.source, sum(c.bytes) from changed c group by c.source
        on conflict (source) do update set bytes = s.bytes + excluded.bytes;
    return null;
end
$$;

create function rejected_requests_went() returns trigger language plpgsql as $$
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

-- As the guards of the history: they read this schema's tables whoever writes.
do $$
begin
    execute format('alter function rejected_requests_came() set search_path to %I, pg_temp', current_schema());
    execute format('alter function rejected_requests_went() set search_path to %I, pg_temp', current_schema());
end
$$;

-- How often each secret of a provider verified a webhook, and when last. A secret is told by the first 12 hex digits of its
-- SHA-256.
create table webhook_secret_uses (
    provider      text        not null,
    fingerprint   text        not null,
    uses          bigint      not null,
    first_used_at timestamptz not null,
    last_used_at  timestamptz not null,
    primary key (provider, fingerprint)
);
