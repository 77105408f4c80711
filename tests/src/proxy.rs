//! A proxy in front of PostgreSQL that fails on purpose: it cuts a connection before a COMMIT reaches the server, or
//! after the server has acted and before its answer reaches the client, which the client cannot tell apart.
//!
//! It speaks no TLS: a client that asks for it is told that the server has none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::sleep_until;

use crate::door::Door;
use crate::wire::{Commit, Conversation, frame};

/// Code of a client's wish for TLS, of its wish for GSS encryption.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];
/// First size of a direction's buffer; a longer message makes it grow.
const BUFFER_BYTES: usize = 64 << 10;

/// What happens to a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    Pass,
    /// The connection is cut before the COMMIT reaches the server, which rolls back.
    CutBefore,
    /// The server acts, then the connection is cut before its answer reaches the client.
    CutAfter,
    /// The COMMIT never reaches the server; the connection stays open and silent.
    HangBefore,
    /// The server acts; its answer never arrives, the connection stays open and silent.
    HangAfter,
    /// The server acts; its answer arrives late by this much.
    Delay(Duration),
}

/// How often what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// COMMITs seen.
    pub commits: u64,
    /// COMMITs seen of transactions that copied rows.
    pub copy_commits: u64,
    /// COMMITs that did not go through as they should.
    pub faults: u64,
}

type Plan = Box<dyn Fn(Commit) -> Fault + Send + Sync>;

struct Shared {
    server: String,
    plan: Plan,
    latency_ms: AtomicU64,
    counts: Mutex<Counts>,
}

/// A running proxy; it ends, with all its connections, when dropped.
pub struct Proxy {
    door: Door,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Proxy").field("door", &self.door).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Listens on a free port in front of `server` (`HOST:PORT`). `plan` says what happens to each COMMIT.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(server: &str, plan: impl Fn(Commit) -> Fault + Send + Sync + 'static) -> Result<Self> {
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            plan: Box::new(plan),
            latency_ms: AtomicU64::new(0),
            counts: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let door = Door::open(move |client| serve(client, Arc::clone(&serving))).await?;
        Ok(Self { door, shared })
    }

    /// A proxy that lets every COMMIT through.
    pub async fn transparent(server: &str) -> Result<Self> {
        Self::start(server, |_| Fault::Pass).await
    }

    /// `HOST:PORT` for the client.
    pub fn authority(&self) -> &str {
        self.door.authority()
    }

    /// Cuts all connections of this moment.
    pub fn cut(&self) {
        self.door.cut();
    }

    /// New connections are closed at once, until this is taken back.
    pub fn refuse(&self, refusing: bool) {
        self.door.refuse(refusing);
    }

    /// Every answer of the server arrives late by this much: a slow or distant database.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.latency_ms.store(latency.as_millis() as u64, Ordering::Relaxed);
    }

    /// How often what happened, until now.
    pub fn counts(&self) -> Counts {
        *self.shared.counts()
    }
}

impl Shared {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, copied: bool) -> Fault {
        let commit = {
            let mut counts = self.counts();
            counts.commits += 1;
            counts.copy_commits += u64::from(copied);
            Commit { number: counts.commits, copy_number: copied.then_some(counts.copy_commits) }
        };
        let fault = (self.plan)(commit);
        self.counts().faults += u64::from(fault != Fault::Pass);
        fault
    }
}

/// One connection; both sides close when this returns.
async fn serve(mut client: TcpStream, shared: Arc<Shared>) -> Result<()> {
    shared.counts().connections += 1;
    let mut server = TcpStream::connect(&shared.server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    greet(&mut client, &mut server).await?;
    let conversation = Mutex::new(Conversation::default());
    let answer = Mutex::new(Fault::Pass);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let line = Line { shared: &shared, conversation, answer };
    tokio::select! {
        ended = line.forward(from_client, to_server) => ended,
        ended = line.back(from_server, to_client) => ended,
    }
}

/// Passes the startup message on; wishes for encryption before it are declined.
async fn greet(client: &mut TcpStream, server: &mut TcpStream) -> Result<()> {
    loop {
        let length = client.read_u32().await?;
        let code = client.read_u32().await?;
        if ENCRYPTION_REQUESTS.contains(&code) {
            client.write_all(b"N").await?;
            continue;
        }
        let mut rest = vec![0; (length as usize).saturating_sub(8)];
        client.read_exact(&mut rest).await?;
        server.write_u32(length).await?;
        server.write_u32(code).await?;
        server.write_all(&rest).await?;
        return Ok(());
    }
}

/// What both directions of a connection know.
struct Line<'a> {
    shared: &'a Shared,
    conversation: Mutex<Conversation>,
    /// What happens to the answer of the awaited COMMIT.
    answer: Mutex<Fault>,
}

impl Line<'_> {
    async fn forward(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<()> {
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        loop {
            let (passed, fault) = self.examine(&buffer);
            to.write_all(&buffer.split_to(passed)).await?;
            match fault {
                Some(Fault::CutBefore) => return Ok(()),
                Some(_) => std::future::pending().await,
                None => {}
            }
            if from.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// How many bytes of whole messages may pass, and the fault that keeps the next one back.
    fn examine(&self, bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut conversation = self.conversation.lock().unwrap_or_else(PoisonError::into_inner);
        let mut passed = 0;
        while let Some(frame) = bytes.get(passed..).and_then(frame) {
            if let Some(copied) = conversation.asks(frame) {
                match self.shared.decide(copied) {
                    Fault::Pass => {}
                    fault @ (Fault::CutBefore | Fault::HangBefore) => return (passed, Some(fault)),
                    fault => {
                        conversation.await_commit(frame.tag);
                        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = fault;
                    }
                }
            }
            passed += frame.bytes.len();
        }
        (passed, None)
    }

    async fn back(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<()> {
        let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
        loop {
            let (passed, reached) = self.examine_answers(&buffer);
            to.write_all(&buffer.split_to(passed)).await?;
            match reached {
                Some(Fault::CutAfter) => return Ok(()),
                Some(Fault::HangAfter) => std::future::pending().await,
                Some(Fault::Delay(by)) => pass_time(by).await,
                _ => {}
            }
            if reached.is_none() && from.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            pass_time(Duration::from_millis(self.shared.latency_ms.load(Ordering::Relaxed))).await;
        }
    }

    /// How many bytes of whole messages may pass, and the fault that meets the next one: the awaited answer.
    fn examine_answers(&self, bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut conversation = self.conversation.lock().unwrap_or_else(PoisonError::into_inner);
        let mut passed = 0;
        while let Some(frame) = bytes.get(passed..).and_then(frame) {
            if conversation.answers(frame) {
                let fault =
                    std::mem::replace(&mut *self.answer.lock().unwrap_or_else(PoisonError::into_inner), Fault::Pass);
                return (passed, Some(fault));
            }
            passed += frame.bytes.len();
        }
        (passed, None)
    }
}

/// A late answer is what this proxy makes; nothing waits for something to happen here.
async fn pass_time(by: Duration) {
    if !by.is_zero() {
        sleep_until(tokio::time::Instant::now() + by).await;
    }
}
