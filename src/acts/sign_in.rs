//! Signs a person in at the dashboard, or refuses.
//!
//! The database gets digests only: neither the cookie nor the token can be learnt from it.

use std::net::IpAddr;

use sqlx::PgConnection;

use super::{ActError, Acts, Principal};
use crate::db::sessions::{self, New};
use crate::db::{self, operator_actions};

/// The digests that are stored of a new session.
#[derive(Clone, Copy, Debug)]
pub struct NewSession {
    /// SHA-256 of the cookie.
    pub cookie_digest: [u8; 32],
    /// SHA-256 of the cookie and the token's digest.
    pub token_binding: [u8; 32],
}

/// # Errors
/// When the database is away.
pub async fn run(acts: &Acts, principal: &Principal, new: NewSession) -> Result<(), ActError> {
    let id = acts.shell.ids.next();
    let action = acts.record(principal.name(), "sign_in", &id, String::new());
    let work = async move |connection: &mut PgConnection| {
        let NewSession { cookie_digest, token_binding } = &new;
        let new = New { id, cookie_digest, who: &action.who, token_binding, at: action.at };
        sessions::insert(connection, &new).await?;
        operator_actions::insert(connection, &action).await
    };
    db::in_one_commit(&acts.cell.pool, work).await?;
    tracing::info!(token.name = principal.name(), session.id = %id, "a person signed in");
    Ok(())
}

/// Records that a token was refused. The token is not recorded.
///
/// # Errors
/// When the database is away.
pub async fn refuse(acts: &Acts, peer: IpAddr) -> Result<(), ActError> {
    let action = acts.record("", "sign_in_refused", &peer, String::new());
    let work = async move |connection: &mut PgConnection| operator_actions::insert(connection, &action).await;
    db::in_one_commit(&acts.cell.pool, work).await?;
    tracing::warn!(%peer, "a sign-in was refused: unknown token");
    Ok(())
}
