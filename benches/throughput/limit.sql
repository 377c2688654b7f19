-- The limit: the row writes of one COMPLETED webhook, with nothing around them. pgbench calls these functions.
--
-- The number n of an opening gives everything, as in numbers.rs. Body and headers are constants of the size of real ones, and
-- hashes are not keyed: what is not a write should cost next to nothing here.

create or replace function bench_id(kind text, n bigint) returns uuid language sql immutable parallel safe as $$
    select (lpad(to_hex({epoch} + n), 12, '0') || '7' || kind || '8' || lpad(to_hex(n), 15, '0'))::uuid
$$;

create or replace function bench_reference(n bigint) returns text language sql immutable parallel safe as $$
    select 'aor_' || left(encode(sha256(n::text::bytea), 'hex'), 24)
$$;

-- Among the real ones, and at as many places of their index; none of them ends in an X.
create or replace function bench_iban(n bigint) returns text language sql immutable parallel safe as $$
    select (array['BE', 'NL', 'DE', 'FR', 'ES'])[n % 5 + 1] || lpad((n * 31 % 97)::text, 2, '0')
           || lpad((n * {stride} % {accounts})::text, 12, '0') || 'X'
$$;

create sequence if not exists bench_n minvalue 0;

create or replace function bench_webhook(n bigint) returns void language plpgsql as $$
declare
    now constant timestamptz := clock_timestamp();
    opening constant uuid := bench_id('000', n);
    fact constant uuid := bench_id('001', n);
    head constant bytea := sha256(int8send(n));
begin
    insert into inbox (id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                       provider_ref, received_at, retry_from, status, outcome, settled_at)
    values (fact, 'webhook:nexusbank', 'msg_' || n, 'webhook', 'nexusbank', 0, {body}, head, {headers}, opening,
            bench_reference(n), now, now, 'applied', 'applied', now);
    with moved as (
        update account_openings
           set state = 'issuing_card', provider_status = 'COMPLETED', iban = bench_iban(n), bic = 'NEXUXXBB',
               version = version + 1, head_hash = head, updated_at = now
         where id = opening
    )
    insert into opening_history (opening_id, version, from_state, to_state, event, source, inbox_id, at, hash)
    values (opening, 4, 'awaiting_provider', 'issuing_card', 'provider_reported', 'webhook', fact, now, head);
    insert into outbox (id, opening_id, topic, payload, status, due_at, created_at, retry_from)
    values (bench_id('002', n), opening, 'issue_card', '{}', 'pending', now, now, now);
end
$$;

-- The same for `size` openings from `first` on, in one transaction of three statements.
create or replace function bench_webhooks(first bigint, size bigint) returns void language plpgsql as $$
declare
    now constant timestamptz := clock_timestamp();
begin
    insert into inbox (id, consumer_group, event_id, source, provider, part, body, body_digest, headers, opening_id,
                       provider_ref, received_at, retry_from, status, outcome, settled_at)
    select bench_id('001', n), 'webhook:nexusbank', 'msg_' || n, 'webhook', 'nexusbank', 0, {body}, sha256(int8send(n)),
           {headers}, bench_id('000', n), bench_reference(n), now, now, 'applied', 'applied', now
      from generate_series(first, first + size - 1) n;
    with moved as (
        update account_openings o
           set state = 'issuing_card', provider_status = 'COMPLETED', iban = bench_iban(n), bic = 'NEXUXXBB',
               version = version + 1, head_hash = sha256(int8send(n)), updated_at = now
          from generate_series(first, first + size - 1) n
         where o.id = bench_id('000', n)
    )
    insert into opening_history (opening_id, version, from_state, to_state, event, source, inbox_id, at, hash)
    select bench_id('000', n), 4, 'awaiting_provider', 'issuing_card', 'provider_reported', 'webhook',
           bench_id('001', n), now, sha256(int8send(n))
      from generate_series(first, first + size - 1) n;
    insert into outbox (id, opening_id, topic, payload, status, due_at, created_at, retry_from)
    select bench_id('002', n), bench_id('000', n), 'issue_card', '{}', 'pending', now, now, now
      from generate_series(first, first + size - 1) n;
end
$$;
