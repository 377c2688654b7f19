//! Clients of the other systems. All calls go through `outbound::Client`.

mod cards;
mod profiles;
pub mod tracker;

pub use self::cards::CardIssuer;
pub use self::profiles::ProfileService;
pub use self::tracker::Tracker;
