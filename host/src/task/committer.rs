//! The second stage of a task: the only user of its database connection.
//!
//! Takes one request at a time and answers it with an event for the task's thread. What the database may cure by
//! itself is retried here with backoff, visible in the task's status; the thread only hears of results. Flushes
//! go the way that [`super::writer`] says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::ages::Ages;
use super::machine::Event;
use super::patience::{Patience, Waiting, answered, unanswered, unless};
use super::writer::{Fate, Report, Step, Tolerance, Writer};
use crate::clock::Clock;
use crate::error::Result;
use crate::record::{Claim, Field, Flush, Topic};
use crate::sink::{ClaimRequest, Encoder, Prepared, Sink, WriteError};
use crate::state::Generation;

/// Lanes to claim once their topics are known again.
#[derive(Debug)]
pub struct Inquiry {
    /// The number of the question.
    pub asked: u64,
    /// The lanes.
    pub requests: Vec<ClaimRequest>,
    /// Their topics, as the broker describes them now.
    pub topics: Vec<Topic>,
}

/// What the thread asks for.
#[derive(Debug)]
pub enum Request {
    /// Bind a topic to its table.
    Prepare {
        /// For the rows of this chain.
        generation: Generation,
        /// The topic.
        topic: Arc<str>,
        /// The fields that the chain writes.
        outputs: Vec<Field>,
        /// The fields of its first records, where the sink asked for them.
        sample: Option<Vec<Field>>,
    },
    /// Note topics, or tell what was noted of them.
    Recognise(Inquiry),
    /// Claim lanes.
    Claim {
        /// The number of the question.
        asked: u64,
        /// The lanes.
        requests: Vec<ClaimRequest>,
    },
    /// Write a flush under these claims.
    Write(Flush, Vec<Claim>),
}

/// What the thread hears.
pub enum Answer {
    /// An event for the machine.
    Machine(Event),
    /// What was noted of the topics when the pipeline first read them, in their order.
    Recognised(Inquiry, Vec<Topic>),
    /// A topic's encoder for a chain, None when the sink needs a sample; or why there cannot be one.
    Encoder(Generation, Arc<str>, Result<Option<Box<dyn Encoder>>>),
    /// A flush has ended; how long its transactions took, waits included.
    Written(Report, Duration),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Machine(event) => f.debug_tuple("Machine").field(event).finish(),
            Answer::Recognised(inquiry, noted) => f.debug_tuple("Recognised").field(inquiry).field(noted).finish(),
            Answer::Encoder(generation, topic, _) => {
                f.debug_tuple("Encoder").field(generation).field(topic).finish_non_exhaustive()
            }
            Answer::Written(report, took) => f.debug_tuple("Written").field(report).field(took).finish(),
        }
    }
}

/// Where answers go; must not block.
pub type Answers = Box<dyn Fn(Answer) + Send + Sync>;

/// The stage's parts.
pub struct Committer {
    /// Where rows go.
    pub sink: Box<dyn Sink>,
    /// What to do with refused rows.
    pub tolerance: Tolerance,
    /// To the thread.
    pub answers: Answers,
    /// To the task's status.
    pub waiting: Waiting,
    /// Time.
    pub clock: Clock,
    /// How long one call to the sink may take: see [`crate::limits::DATABASE_ANSWER_MAX`].
    pub answer_max: Duration,
    /// What is told of the ages of records.
    pub ages: Ages,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").field("tolerance", &self.tolerance).finish_non_exhaustive()
    }
}

impl Committer {
    /// Serves requests until the sender is gone or `abandon` turns true. An abandoned flush may or may not be
    /// committed; whoever claims its lanes next reads which.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>, abandon: watch::Receiver<bool>) {
        let work = async {
            while let Some(request) = requests.recv().await {
                self.serve(request).await;
            }
        };
        unless(abandon, work).await;
        self.sink.close().await;
    }

    async fn serve(&mut self, request: Request) {
        let answer = match request {
            Request::Prepare { generation, topic, outputs, sample } => {
                let encoder = self.prepare(&topic, &outputs, sample.as_deref()).await;
                Ok(Answer::Encoder(generation, topic, encoder))
            }
            Request::Recognise(inquiry) => self.recognise(inquiry).await,
            Request::Claim { asked, requests } => self.claim(asked, &requests).await,
            Request::Write(flush, claims) => Ok(self.write(flush, claims).await),
        };
        (self.answers)(answer.unwrap_or_else(|error| Answer::Machine(Event::Failed(error))));
    }

    async fn prepare(
        &mut self,
        topic: &str,
        outputs: &[Field],
        sample: Option<&[Field]>,
    ) -> Result<Option<Box<dyn Encoder>>> {
        let mut patience = Patience::new(&self.waiting, self.answer_max);
        loop {
            if let Some(answer) = patience.attempt(self.sink.prepare(topic, outputs, sample)).await {
                return answer.map(|prepared| match prepared {
                    Prepared::Ready(encoder) => Some(encoder),
                    Prepared::NeedsSample => None,
                });
            }
        }
    }

    async fn recognise(&mut self, inquiry: Inquiry) -> Result<Answer> {
        let mut patience = Patience::new(&self.waiting, self.answer_max);
        loop {
            if let Some(answer) = patience.attempt(self.sink.recognise(&inquiry.topics)).await {
                return answer.map(|noted| Answer::Recognised(inquiry, noted));
            }
        }
    }

    async fn claim(&mut self, asked: u64, requests: &[ClaimRequest]) -> Result<Answer> {
        let mut patience = Patience::new(&self.waiting, self.answer_max);
        let answers = loop {
            if let Some(answer) = patience.attempt(self.sink.claim(requests)).await {
                break answer?;
            }
        };
        Ok(Answer::Machine(Event::Claimed { asked, answers }))
    }

    async fn write(&mut self, flush: Flush, claims: Vec<Claim>) -> Answer {
        let began = self.clock.elapsed();
        let mut writer = Writer::new(flush, claims, self.tolerance);
        let mut step = Step::Attempt;
        loop {
            step = match step {
                Step::Attempt => {
                    let written = self.sink.write(writer.flush(), writer.claims());
                    let outcome = tokio::time::timeout(self.answer_max, written).await;
                    let outcome = outcome.unwrap_or_else(|_| Err(WriteError::Unknown(unanswered(self.answer_max))));
                    writer.attempted(outcome, &|segment, offset| self.sink.withdraw(segment, offset))
                }
                Step::ReadPositions => {
                    writer.judged(answered(self.answer_max, self.sink.positions(&writer.lanes())).await)
                }
                Step::Wait(delay, error) => {
                    (self.waiting)(Some(&error));
                    tokio::time::sleep(delay).await;
                    writer.waited()
                }
                Step::Finish => break,
            };
        }
        let mut report = writer.into_report();
        report.latencies_us = self.ages(&report);
        for (segment, _, _) in &mut report.segments {
            // The consumed records are freed here, beside the thread that is busy with the next flush.
            segment.origins.clear();
        }
        let took = self.clock.elapsed().saturating_sub(began);
        (self.waiting)(None);
        Answer::Written(report, took)
    }
    /// Of a sample of what was committed now, in µs.
    fn ages(&mut self, report: &Report) -> Vec<i64> {
        let committed = report.segments.iter().filter(|(_, _, fate)| matches!(fate, Fate::Committed));
        let runs = committed.flat_map(|(segment, _, _)| &segment.origins).map(|run| &run.timestamps[..]);
        self.ages.of(runs, Clock::wall_us(), self.clock.elapsed())
    }
}
