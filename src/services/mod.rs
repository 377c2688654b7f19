//! The other systems: what is asked of each, and how it answers. All calls go through `outbound::Client`.

mod cards;
mod profiles;
mod subscribers;
pub mod tracker;

pub use self::cards::CardIssuer;
pub use self::profiles::ProfileService;
pub use self::subscribers::{Subscribers, cloud_event};
pub use self::tracker::Tracker;
