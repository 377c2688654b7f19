//! Operators' overrides of circuit breakers, followed on every replica.
//!
//! An operator decides on one replica, and a decision must hold on all of them within 2 s, and after a restart. So it is a row
//! of `breakers`, which each replica reads twice a second and before its first call. While the database is away, the last read
//! holds. A read that raced with a decision of this process is dropped for that gate ([`Gate::follow`]). A crash loses nothing.

use sqlx::PgPool;

use super::{Gate, Gates};
use crate::db::{WITHIN, breakers, conclude};
use crate::driver::TickError;
use crate::faults::{FaultPoint, Step};

pub struct BreakerOverrides {
    pub pool: PgPool,
    pub gates: Gates,
    pub faults: FaultPoint,
}

impl BreakerOverrides {
    /// Reads the overrides once, and returns how many gates changed.
    pub async fn read(&self) -> Result<usize, TickError> {
        let before: Vec<(Gate, u64)> = self.gates.all().into_iter().map(|it| (it.clone(), it.decisions())).collect();
        let mut connection = self.pool.acquire().await?;
        let reading = self.faults.around("breakers", Step::Claim, breakers::all(&mut connection));
        let result = tokio::time::timeout(WITHIN, reading).await;
        let rows = conclude(connection, result)?;
        let forced = |gate: &Gate| {
            let row = rows.iter().find(|row| row.is_of(gate.system(), gate.operation()));
            row.and_then(|row| row.forced.parse().ok())
        };
        Ok(before.iter().filter(|(gate, decisions)| gate.follow(forced(gate), *decisions)).count())
    }
}
