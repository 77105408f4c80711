//! A task's place in its consumer group, taken again where the client has given it up for good.
//!
//! A client gives the place of a static member (KIP-345) up as soon as the broker says that another has its name. That
//! other may be the member itself, before it slept for longer than its session (librdkafka, issue 3437), or under KIP-848
//! one that was killed and whose session is not over. Both pass, so the task goes on with another client. Two workers
//! that really have one name take the place from each other, and one of them gives up.

use std::time::Duration;

use super::Task;
use super::fences::Fences;
use super::machine::Event;
use super::status::Party;
use crate::error::{Error, Policy, Result};
use crate::kafka::{Consumer, ConsumerSettings, Waker};
use crate::limits::FENCES_MAX;

/// Time before a place that the group did not give is asked for again.
const REFUSED_INTERVAL: Duration = Duration::from_secs(1);

/// A place in the group.
pub(super) struct Membership {
    settings: ConsumerSettings,
    waker: Waker,
    /// Whether the group has given lanes since it was joined last.
    is_member: bool,
    fences: Fences,
    /// When it is joined again.
    rejoins_at: Option<Duration>,
}

impl Membership {
    /// Not joined yet.
    pub(super) fn new(settings: ConsumerSettings, waker: Waker) -> Self {
        Membership { settings, waker, is_member: false, fences: Fences::default(), rejoins_at: None }
    }

    /// The group has given lanes.
    pub(super) fn joined(&mut self) {
        self.is_member = true;
    }

    /// Joins the group.
    pub(super) fn join(&mut self) -> Result<Consumer> {
        (self.is_member, self.rejoins_at) = (false, None);
        Consumer::new(&self.settings, &self.waker)
    }
}

impl Task {
    /// Where the client has lost the place in the group, gives all lanes up, and joins again when it is time.
    pub(super) fn keep_membership(&mut self) -> Result<()> {
        let now = self.spec.clock.elapsed();
        match self.membership.rejoins_at {
            None => self.consumer.loss().cloned().map_or(Ok(()), |error| self.lost(error, now)),
            Some(at) if now < at => Ok(()),
            Some(_) => {
                let joined = self.membership.join()?;
                std::mem::replace(&mut self.consumer, joined).leave()
            }
        }
    }

    fn lost(&mut self, error: Error, now: Duration) -> Result<()> {
        self.on(Event::Revoked(self.machine.lanes()))?;
        if error.policy() != Policy::Retry {
            return self.on(Event::Failed(error));
        }
        let membership = &mut self.membership;
        let wait = if membership.is_member {
            membership.fences.another(now.as_millis() as u64)
        } else {
            Some(REFUSED_INTERVAL)
        };
        let Some(wait) = wait else {
            let message = format!("{error}, and took its place more than {FENCES_MAX} times");
            return self.on(Event::Failed(Error::new(error.kind(), message)));
        };
        membership.rejoins_at = Some(now + wait);
        self.spec.waiting_for(Party::Kafka)(Some(&error));
        Ok(())
    }
}
