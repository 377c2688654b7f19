-- A busy day beside the openings that are filled in: all that pages list and count, much of it beyond what they count.
set session_replication_role = replica;

create function bench_id_at(kind text, at timestamptz, n bigint) returns uuid language sql immutable as $$
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || kind || '8' || lpad(to_hex(n), 15, '0'))::uuid
$$;

-- A day of openings, one every four seconds. Of ten, seven are completed and one each is rejected, waiting and escalated.
create temporary table bench_day as
select n, at, bench_id_at('0a0', at, n) as id,
       (array['BE', 'NL', 'DE', 'FR', 'ES'])[n % 5 + 1] as market,
       (array['completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'rejected',
              'awaiting_provider', 'escalated'])[n % 10 + 1] as state
  from (select n, now() - interval '4 seconds' * (21600 - n) as at from generate_series(1, 21600) as n) as times;

insert into account_openings (id, market, customer_type, customer_reference, customer, currency, flow, provider, state, profile_id,
                              provider_ref, provider_status, iban, bic, card_id, reason, deadline_at, escalated_at, version,
                              head_hash, created_at, updated_at)
select id, market, 'company', 'day_' || n, '{"reference": "day", "name": "Acme", "email": "ops@acme.example", "country": "BE"}', 'EUR', 'async',
       'nexusbank', state, 'prf_day_' || n, 'aor_day_' || n, upper(state),
       case when state = 'completed' then 'XX' || n end, case when state = 'completed' then 'NEXUBEBB' end,
       case when state = 'completed' then 'card_day_' || n end, case when state = 'rejected' then 'said no' end,
       at + interval '12 hours', case when state = 'escalated' then at + interval '12 hours' end, 4, sha256(int8send(n)), at, at
  from bench_day;

insert into opening_ibans (iban, opening_id) select 'XX' || n, id from bench_day where state = 'completed';

insert into opening_history (opening_id, version, from_state, to_state, event, source, at, hash)
select id, 4, 'awaiting_provider', case state when 'completed' then 'issuing_card' else state end, 'provider_reported',
       (array['webhook', 'webhook', 'poll', 'list'])[n % 4 + 1], at, sha256(int8send(n))
  from bench_day where state in ('completed', 'rejected');

insert into tickets (id, opening_id, kind, summary, link, status, reason, created_at, updated_at)
select bench_id_at('0a1', at, n), id, 'AccountOpeningWebhookNotReceived', 'not answered in time', '/', 'open', null, at, at
  from bench_day where state = 'escalated'
 union all
select bench_id_at('0a2', at, n), id, 'AccountOpeningStepFailed', 'a step failed', '/', case when n % 2 = 0 then 'open' else 'closed' end,
       case when n % 2 = 1 then 'completed' end, at, at
  from bench_day;

insert into cases (id, opening_id, kind, cause, ours, theirs, evidence, status, reason, created_at)
select bench_id_at('0a3', at, n), id, case n when 1 then 'reference_held_elsewhere' else 'answer_conflict' end, 'bench', '{"iban": "BE68539007547034"}', '{"iban": "BE71096123456769"}', '{}',
       case when n % 3 = 0 then 'resolved' else 'open' end, case when n % 3 = 0 then 'seen' end, at
  from bench_day;

-- Facts that no machine can finish, and some that wait for their opening; of those none expires while pages are measured.
insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, provider_ref, received_at, retry_from,
                   status, outcome, attempts, due_at, attempt_log)
select bench_id_at('0a4', at, n), 'webhook:nexusbank', 'dead_' || n, 'webhook', 'nexusbank', '{"type": 1}', sha256('{"type": 1}'), '{}',
       'aor_nothing_' || n, at, case when n % 10 = 0 then now() else at end, case when n % 10 = 0 then 'pending' else 'dead' end,
       case when n % 10 = 0 then 'parked' else (array['unreadable', 'no_matching_opening'])[n % 2 + 1] end, 1,
       case when n % 10 = 0 then now() + interval '1 hour' end,
       '[{"at": "2026-01-01T00:00:00Z", "class": "unreadable", "cause": "no such type"}]'
  from bench_day;

insert into outbox (id, opening_id, topic, payload, status, outcome, attempts, attempt_log, created_at, retry_from)
select bench_id_at('0a5', at, n), id, 'issue_card', '{}', 'dead', 'refused', 8,
       '[{"at": "2026-01-01T00:00:00Z", "class": "refused", "cause": "422"}]', at, at
  from bench_day;

insert into rejected_requests (id, provider, cause, received_at, source, method, path, headers, body, body_bytes, bytes)
select bench_id_at('0a6', at, n), 'nexusbank', (array['signature_wrong', 'signature_stale', 'signature_missing'])[n % 3 + 1], at,
       '10.0.0.' || n % 200, 'POST', '/webhooks/nexusbank', '{}', '{"type": 1}', 11, 500
  from bench_day;

insert into operator_actions (id, at, who, action, subject, opening_id, reason)
select bench_id_at('0a7', now() - interval '1 minute' * (200000 - n), n), now() - interval '1 minute' * (200000 - n),
       case n when 1 then 'rarely' else 'person_' || n % 20 end,
       case n when 1 then 'set_flag' else (array['poll', 'resolve', 'redrive_dead_letter', 'export'])[n % 4 + 1] end, bench_id('000', n % {openings} + 1)::text,
       bench_id('000', n % {openings} + 1), 'asked for'
  from generate_series(1, 200000) as n;

-- Two years of reports; the newest has rows of every class.
insert into reports (id, provider, kind, format, bytes, sha256, state, complete, period_from, period_until, as_of, rows, dry_run,
                     received_by, received_at, finished_at, stage)
select bench_id_at('0a8', at, n), 'nexusbank', (array['register', 'charges', 'bank'])[n % 3 + 1], 'nexusbank', 1000, sha256(int8send(n)),
       case when n % 100 = 0 then 'held' else 'finished' end, true, at - interval '1 day', at, at, 50000, false, 'bench', at, at, 'done'
  from (select n, now() - interval '8 hours' * (2190 - n) as at from generate_series(1, 2190) as n) as times;

insert into report_rows (report_id, n, line, byte, length, provider, kind, row_key, digest, class, rule, opening_id, theirs, found)
select (select id from reports order by id desc limit 1), n, n, n * 100, 100, 'nexusbank', 'register', 'row_' || n, sha256(int8send(n)),
       (array['MATCHED', 'MATCHED', 'MATCHED', 'MISSED_ANSWER', 'AMOUNT_MISMATCH'])[n % 5 + 1], 'bench', bench_id('000', n % {openings} + 1), '{}', n % 5 > 2
  from generate_series(1, 50000) as n;

insert into mismatches (id, provider, kind, subject, aspect, class, state, opening_id, market, ours, theirs, differences, suggested,
                        look_at, created_at, updated_at)
select bench_id_at('0a9', at, n), 'nexusbank', 'register', 'bench_' || n, 'status',
       case n when 1 then 'BANK_MISMATCH' else (array['AMOUNT_MISMATCH', 'STATUS_MISMATCH', 'MISSING_AT_PROVIDER'])[n % 3 + 1] end,
       case when n % 10 = 0 then 'case' else 'settled' end, bench_id('000', n % {openings} + 1), 'BE', '{"status": "a"}', '{"status": "b"}',
       '[{"field": "status", "ours": "a", "theirs": "b"}]', '{}', case when n % 10 = 0 then now() + interval '30 days' end, at, at
  from (select n, now() - interval '1 minute' * (150000 - n) as at from generate_series(1, 150000) as n) as times;

insert into mismatch_reports (mismatch_id, report_id, line)
select m.id, (select id from reports order by id desc limit 1), m.n
  from (select id, row_number() over (order by id) as n from mismatches order by id desc limit 50000) as m;

-- An early report has the first of them alone.
insert into mismatch_reports (mismatch_id, report_id, line)
select (select id from mismatches order by id limit 1), (select id from reports where state = 'finished' order by id limit 1), 1;

-- One accrual of each opening.
insert into expected_fees (id, at, amount, currency, provider, opening_id, code, price_list)
select bench_id('0aa', n), now() - interval '1 hour', 6.05, 'EUR', 'nexusbank', bench_id('000', n), 'ACCOUNT_OPENED', 'bench'
  from generate_series(1, {openings}) as n;

-- The opening that is shown: 5,000 facts, each of which moved nothing.
insert into inbox (id, consumer_group, event_id, source, provider, body, body_digest, headers, opening_id, provider_ref, received_at,
                   retry_from, status, outcome, settled_at)
select bench_id_at('0ab', at, n), 'webhook:nexusbank', 'shown_' || n, 'webhook', 'nexusbank', convert_to(body, 'UTF8'),
       sha256(convert_to(body, 'UTF8')), '{"webhook-id": "x"}', '{shown}', '{reference}', at, at, 'applied', 'recorded', at
  from (select n, now() - interval '10 seconds' * ({facts} - n) as at,
               json_build_object('type', 'account_opening_request.status_changed',
                                 'data', json_build_object('account_opening_request_id', '{reference}', 'status', 'IN_PROGRESS',
                                                           'event', n))::text as body
          from generate_series(1, {facts}) as n) as facts;

-- What triggers keep.
truncate opening_counts, opening_count_changes;
insert into opening_counts select state, market, count(*) from account_openings group by state, market;
select sum_fees();
set session_replication_role = origin;
