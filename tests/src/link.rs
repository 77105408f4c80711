//! A stretch of network that fails on purpose: what passes it is late, or is lost without a word, or its connections are
//! cut. It knows no protocol, and so serves in front of any server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep_until};

use crate::door::Door;

/// Bytes that are taken from a connection at once, at most.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces under way in one direction; more wait at the sender, as in a network.
const PIECES: usize = 1_024;

#[derive(Debug)]
struct Shared {
    server: String,
    delay_ms: AtomicU64,
    silent: AtomicBool,
}

/// A running link; it ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct Link {
    door: Door,
    shared: Arc<Shared>,
}

impl Link {
    /// Listens on a free port in front of `server` (`HOST:PORT`), which need not be there yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(server: &str) -> Result<Self> {
        let server = server.to_owned();
        let shared = Arc::new(Shared { server, delay_ms: AtomicU64::new(0), silent: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        let door = Door::open(move |client| serve(client, Arc::clone(&serving))).await?;
        Ok(Self { door, shared })
    }

    /// `HOST:PORT` for the client.
    pub fn authority(&self) -> &str {
        self.door.authority()
    }

    /// From now on everything arrives late by this much, in both directions.
    pub fn delay(&self, by: Duration) {
        self.shared.delay_ms.store(by.as_millis() as u64, Ordering::Relaxed);
    }

    /// While it is silent whatever is sent is lost, and no connection is ended. One that has lost something stays silent
    /// afterwards: its ends have to find out by themselves that it is of no more use.
    pub fn silence(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::Relaxed);
    }

    /// Cuts all connections of this moment.
    pub fn cut(&self) {
        self.door.cut();
    }
}

/// One connection; both sides close when this returns.
async fn serve(mut client: TcpStream, shared: Arc<Shared>) -> Result<()> {
    let mut server = TcpStream::connect(&shared.server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let line = Line { shared: &shared, deaf: AtomicBool::new(false) };
    tokio::select! {
        ended = line.pass(from_client, to_server) => ended,
        ended = line.pass(from_server, to_client) => ended,
    }
}

/// What both directions of a connection know.
struct Line<'a> {
    shared: &'a Shared,
    /// Something was lost.
    deaf: AtomicBool,
}

impl Line<'_> {
    /// Passes on what one end sends, until that end closes.
    async fn pass(&self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<()> {
        let (sender, under_way) = mpsc::channel(PIECES);
        tokio::try_join!(self.take(from, sender), self.deliver(under_way, to)).map(drop)
    }

    async fn take(&self, mut from: ReadHalf<'_>, under_way: Sender<(Instant, Bytes)>) -> Result<()> {
        loop {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES);
            if from.read_buf(&mut piece).await? == 0 {
                return Ok(());
            }
            let delay = Duration::from_millis(self.shared.delay_ms.load(Ordering::Relaxed));
            under_way.send((Instant::now() + delay, piece.freeze())).await?;
        }
    }

    async fn deliver(&self, mut under_way: Receiver<(Instant, Bytes)>, mut to: WriteHalf<'_>) -> Result<()> {
        while let Some((due, piece)) = under_way.recv().await {
            // What is late is what this link makes; nothing waits for something to happen here.
            sleep_until(due).await;
            if self.shared.silent.load(Ordering::Relaxed) {
                self.deaf.store(true, Ordering::Relaxed);
            }
            if !self.deaf.load(Ordering::Relaxed) {
                to.write_all(&piece).await?;
            }
        }
        Ok(())
    }
}
