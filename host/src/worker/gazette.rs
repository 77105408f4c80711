//! A pipeline's news about swaps, to and from what all its workers and operators read: on the async runtime, beside the
//! tasks. What cannot be written now is written later; what is decided elsewhere is noticed within seconds.

use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender as NewsSender, channel};
use tokio::time::MissedTickBehavior;

use super::Notice;
use crate::limits::SWAP_NEWS_MAX;
use crate::sink::Gazette;
use crate::state::{Ruling, Standing};
use crate::task::patience::{Patience, Waiting, answered};

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// Time for one look.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Something to be told.
#[derive(Debug)]
pub enum News {
    /// A decision of this worker.
    Ruled(Vec<Ruling>),
    /// Where a chain stands here.
    Stands(Box<Standing>),
}

/// Serves a pipeline until the sender that is returned is gone.
pub fn spawn(
    runtime: &tokio::runtime::Handle,
    pipeline: String,
    gazette: Box<dyn Gazette>,
    notices: Sender<Notice>,
) -> NewsSender<News> {
    let (news, received) = channel(SWAP_NEWS_MAX);
    runtime.spawn(serve(pipeline, gazette, notices, received));
    news
}

async fn serve(pipeline: String, mut gazette: Box<dyn Gazette>, notices: Sender<Notice>, mut news: Receiver<News>) {
    let (mut known, mut look) = (Vec::new(), tokio::time::interval(INTERVAL));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            told = news.recv() => {
                let Some(told) = told else { return };
                write(&pipeline, gazette.as_mut(), &told, || news.is_closed()).await;
                continue;
            }
            _ = look.tick() => {}
        }
        let Ok(rulings) = answered(ANSWER_MAX, gazette.rulings()).await else { continue };
        if rulings != known {
            known.clone_from(&rulings);
            // Where nobody listens any more the worker is at its end.
            let _ = notices.send(Notice::Rulings(pipeline.clone(), rulings));
        }
    }
}

/// Writes until it is written, cannot be, or the pipeline has ended.
async fn write(pipeline: &str, gazette: &mut dyn Gazette, news: &News, has_ended: impl Fn() -> bool) {
    // A database that is away shows in the tasks' status.
    let waiting: Waiting = Box::new(|_| {});
    let mut patience = Patience::new(&waiting, ANSWER_MAX);
    while !has_ended() {
        let writing = async {
            match news {
                News::Ruled(rulings) => gazette.rule(rulings).await,
                News::Stands(standing) => gazette.tell(standing).await,
            }
        };
        let Some(written) = patience.attempt(writing).await else { continue };
        if let Err(error) = written {
            let hint = error.hint();
            tracing::warn!(pipeline, hint, "other workers and operators do not hear of a swap: {error}");
        }
        return;
    }
}
