//! Where clients come in: a port in front of a server, whose connections are served by whoever opened it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

#[derive(Debug, Default)]
struct Shared {
    refusing: AtomicBool,
    cut: Notify,
}

/// An open port; it closes, with all its connections, when dropped.
#[derive(Debug)]
pub struct Door {
    authority: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Door {
    /// Listens on a free port. A connection is over when what `serve` makes of it is, or when it is cut.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn open<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("open a port")?;
        let authority = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), serve));
        Ok(Self { authority, shared, accepting })
    }

    /// `HOST:PORT` for the client.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Cuts all connections of this moment.
    pub fn cut(&self) {
        self.shared.cut.notify_waiters();
    }

    /// New connections are closed at once, until this is taken back.
    pub fn refuse(&self, refusing: bool) {
        self.shared.refusing.store(refusing, Ordering::Relaxed);
    }
}

async fn accept<F>(listener: TcpListener, shared: Arc<Shared>, serve: impl Fn(TcpStream) -> F + Send + 'static)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    while let Ok((client, _)) = listener.accept().await {
        if shared.refusing.load(Ordering::Relaxed) {
            continue;
        }
        let (serving, shared) = (serve(client), Arc::clone(&shared));
        tokio::spawn(async move {
            tokio::select! {
                // How a connection ends is for its two ends to notice.
                ended = serving => ended.unwrap_or_default(),
                () = shared.cut.notified() => {}
            }
        });
    }
}
