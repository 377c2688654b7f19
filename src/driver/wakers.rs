use std::sync::Arc;

use tokio::sync::Notify;

use crate::domain::Topic;

/// Wakes workers in this process after a commit that made work for them.
///
/// A speed-up only: every worker also looks by itself.
#[derive(Clone, Debug, Default)]
pub struct Wakers {
    pub inbox: Arc<Notify>,
    pub poller: Arc<Notify>,
    pub backfill: Arc<Notify>,
    pub reconciliation: Arc<Notify>,
    pub bulk: Arc<Notify>,
    create_profile: Arc<Notify>,
    submit_request: Arc<Notify>,
    open_account: Arc<Notify>,
    issue_card: Arc<Notify>,
    deliver_event: Arc<Notify>,
    open_ticket: Arc<Notify>,
    close_ticket: Arc<Notify>,
}

impl Wakers {
    #[must_use]
    pub const fn relay(&self, topic: Topic) -> &Arc<Notify> {
        match topic {
            Topic::CreateProfile => &self.create_profile,
            Topic::SubmitRequest => &self.submit_request,
            Topic::OpenAccount => &self.open_account,
            Topic::IssueCard => &self.issue_card,
            Topic::DeliverEvent => &self.deliver_event,
            Topic::OpenTicket => &self.open_ticket,
            Topic::CloseTicket => &self.close_ticket,
        }
    }
}
