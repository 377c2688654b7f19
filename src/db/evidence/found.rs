//! Mismatches, facts, acts and openings of a report's evidence.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Line;
use crate::db::Page;

/// A line that names an opening.
#[derive(Clone, Debug)]
pub struct Opening {
    pub key: Uuid,
    pub opening_id: Option<Uuid>,
    pub text: String,
}

/// `mismatches.jsonl`: each with the rows that say it, its steps and its case.
pub async fn mismatches(connection: &mut PgConnection, report: Uuid, page: Page<Uuid>) -> sqlx::Result<Vec<Opening>> {
    sqlx::query_as!(
        Opening,
        r#"-- evidence::mismatches
        select m.id as key, m.opening_id,
               jsonb_build_object(
                   'id', m.id, 'kind', m.kind, 'subject', m.subject, 'aspect', m.aspect, 'class', m.class, 'state', m.state,
                   'due_at', m.due_at, 'opening_id', m.opening_id, 'market', m.market,
                   'provider_reference', m.provider_reference, 'ours', m.ours, 'theirs', m.theirs,
                   'differences', m.differences, 'suggested', m.suggested, 'fact_id', m.fact_id,
                   'created_at', m.created_at, 'updated_at', m.updated_at,
                   'reports', (select jsonb_agg(jsonb_build_object('id', s.report_id, 'line', s.line)
                                                order by s.report_id, s.line)
                                 from mismatch_reports s where s.mismatch_id = m.id),
                   'steps', (select coalesce(jsonb_agg(to_jsonb(s) - 'mismatch_id' order by s.n), '[]')
                               from mismatch_steps s where s.mismatch_id = m.id),
                   'case', (select jsonb_build_object(
                                       'id', c.id, 'kind', c.kind, 'status', c.status, 'ours', c.ours, 'theirs', c.theirs,
                                       'evidence', c.evidence, 'reason', c.reason, 'resolved_by', c.resolved_by,
                                       'resolved_at', c.resolved_at, 'created_at', c.created_at)
                              from cases c where c.id = m.case_id))::text as "text!"
          from (select distinct mismatch_id from mismatch_reports where report_id = $1 and mismatch_id > $2
                 order by mismatch_id limit $3) as said
          join mismatches m on m.id = said.mismatch_id
         order by m.id"#,
        report,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// `facts.jsonl`: the facts that rows of the report became, with what `decide` made of them. Archived ones too.
pub async fn facts(connection: &mut PgConnection, report: Uuid, page: Page<Uuid>) -> sqlx::Result<Vec<Line<Uuid>>> {
    sqlx::query_as!(
        Line,
        r#"-- evidence::facts
        with named as (
            select distinct m.fact_id
              from mismatch_reports s join mismatches m on m.id = s.mismatch_id
             where s.report_id = $1 and m.fact_id > $2
             order by m.fact_id limit $3
        ), facts as (
            select i.id, i.event_id, i.source, i.opening_id, i.provider_ref, i.received_at, i.status, i.outcome,
                   i.settled_at, i.headers, i.body
              from named join inbox i on i.id = named.fact_id
             where i.archived_at is null
             union all
            select a.id, a.event_id, a.source, a.opening_id, a.provider_ref, a.received_at, a.status, a.outcome,
                   a.settled_at, a.headers, a.body
              from named join inbox_archive a on a.id = named.fact_id
        )
        select id as "key!",
               jsonb_build_object(
                   'id', id, 'event_id', event_id, 'source', source, 'opening_id', opening_id,
                   'provider_reference', provider_ref, 'received_at', received_at, 'status', status, 'outcome', outcome,
                   'settled_at', settled_at, 'headers', headers, 'body_base64', encode(body, 'base64'))::text as "text!"
          from facts
         order by id"#,
        report,
        page.after.unwrap_or_default(),
        page.limit,
    )
    .fetch_all(connection)
    .await
}

/// `acts.jsonl`: the acts of people on the report.
pub async fn acts(connection: &mut PgConnection, report: Uuid, page: Page<Uuid>) -> sqlx::Result<Vec<Line<Uuid>>> {
    sqlx::query_as!(
        Line,
        r#"-- evidence::acts
        select id as key,
               jsonb_build_object('id', id, 'at', at, 'who', who, 'action', action, 'reason', reason,
                                  'detail', detail)::text as "text!"
          from operator_actions
         -- An act on a report has a later id than the report.
         where id >= $4 and subject = $1 and id > $2
         order by id
         limit $3"#,
        report.to_string(),
        page.after.unwrap_or_default(),
        page.limit,
        report,
    )
    .fetch_all(connection)
    .await
}

/// `openings.jsonl`: these openings with their histories.
pub async fn openings(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Line<Uuid>>> {
    sqlx::query_as!(
        Line,
        r#"-- evidence::openings
        select o.id as key,
               jsonb_build_object(
                   'id', o.id, 'provider', o.provider, 'provider_reference', o.provider_ref, 'market', o.market,
                   'customer_type', o.customer_type, 'currency', o.currency, 'state', o.state, 'version', o.version,
                   'head_hash', encode(o.head_hash, 'hex'), 'erased_at', o.erased_at,
                   'history', (select coalesce(jsonb_agg(jsonb_build_object(
                                          'version', h.version, 'from_state', h.from_state, 'to_state', h.to_state,
                                          'event', h.event, 'source', h.source, 'inbox_id', h.inbox_id, 'at', h.at,
                                          'detail', h.detail, 'hash', encode(h.hash, 'hex')) order by h.version), '[]')
                                 from opening_history h where h.opening_id = o.id))::text as "text!"
          from account_openings o
         where o.id = any($1)
         order by o.id"#,
        ids,
    )
    .fetch_all(connection)
    .await
}
