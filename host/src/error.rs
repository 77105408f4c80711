//! What can go wrong, in one list, and what is done about it, in one table.
//!
//! Every failure that leaves a module is an [`Error`]: a [`Kind`], a sentence that names the thing, and the
//! cause below it. The kind decides the [`Policy`] and the hint that operators see in REST status and logs.
//! There is no `_` arm in the tables: a new kind does not compile until both are decided.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A result whose failure is an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The closed list of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A pipeline, worker file or flag that does not say what it must.
    Config,
    /// A `${env:}` or `${file:}` reference that cannot be resolved.
    Secret,
    /// A transform type that is neither built in nor in the plugin directories.
    PluginMissing,
    /// A file that is no component, or none that offers what a plugin must.
    PluginInvalid,
    /// A guest that trapped.
    PluginTrap,
    /// A guest call that did not return in time.
    PluginDeadline,
    /// A guest that passed a limit.
    PluginLimit,
    /// A guest that reported a failure of its own.
    PluginFailure,
    /// A chain that may not take over from the one that speaks.
    SwapRefused,
    /// A guest that rejects one row after the other.
    PluginRejects,
    /// A record whose bytes the converter cannot read.
    RecordMalformed,
    /// A record that a transform or the binding to the table cannot take.
    RecordRejected,
    /// A row that the database refuses (SQLSTATE classes 22 and 23).
    RecordRefused,
    /// No broker answers.
    BrokerUnreachable,
    /// The broker refuses the credentials or the access.
    BrokerDenied,
    /// The topic does not exist.
    TopicMissing,
    /// Another member of the consumer group has the task's name (`group.instance.id`).
    NameTaken,
    /// The topic was deleted, and another made under its name.
    TopicRecreated,
    /// Compaction may take records away that state is rebuilt from.
    TopicCompacted,
    /// Partitions were added to a topic whose state is kept by partition.
    PartitionsAdded,
    /// The log lost records that had been read: an election of a leader that did not have them.
    LogTruncated,
    /// The log no longer holds the next offset.
    OffsetOutOfRange,
    /// A gap of a log that cannot be accepted as it was named.
    GapRefused,
    /// The database does not answer, restarts, or the connection broke.
    DatabaseUnreachable,
    /// The database is short of something for a while: locks, disk, connections, a deadlock.
    DatabaseBusy,
    /// The database refuses the credentials.
    DatabaseDenied,
    /// The role lacks a right in the database.
    DatabaseRights,
    /// The table does not exist and may not be created.
    TableMissing,
    /// The table's columns and the pipeline's fields do not fit together.
    TableMismatch,
    /// The `weir` schema is newer than this worker understands, or damaged.
    SchemaVersion,
    /// Another worker holds the lane's position.
    Fenced,
    /// A replay did not repeat what was recorded.
    Diverged,
    /// A directory of weir's own that cannot be written or read.
    StorageFailed,
    /// A checkpoint that is damaged, missing a part, or not accepted by the plugin.
    CheckpointUnusable,
    /// A lane's state is in no checkpoint that can be used, and what it was built from in no log.
    StateLost,
    /// The database lost committed positions and no way back is known.
    PositionLost,
    /// A command asks for what cannot be done.
    Request,
    /// The task of a replay failed.
    ReplayFailed,
    /// A broken promise inside weir.
    Internal,
}

/// What is done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Try again with backoff until it works; nothing is lost meanwhile.
    Retry,
    /// The row is at fault: `errors.tolerance` decides between skipping it and failing the task.
    Row,
    /// The task fails and waits for an operator.
    FailTask,
    /// The worker cannot run at all.
    StopWorker,
}

impl Kind {
    /// The decision table.
    pub fn policy(self) -> Policy {
        match self {
            Kind::BrokerUnreachable
            | Kind::TopicMissing
            | Kind::NameTaken
            | Kind::DatabaseUnreachable
            | Kind::DatabaseBusy
            | Kind::StorageFailed
            | Kind::Fenced => Policy::Retry,
            Kind::RecordMalformed | Kind::RecordRejected | Kind::RecordRefused => Policy::Row,
            Kind::PluginMissing
            | Kind::PluginInvalid
            | Kind::PluginTrap
            | Kind::PluginDeadline
            | Kind::PluginLimit
            | Kind::PluginFailure
            | Kind::SwapRefused
            | Kind::PluginRejects
            | Kind::Secret
            | Kind::BrokerDenied
            | Kind::TopicRecreated
            | Kind::TopicCompacted
            | Kind::PartitionsAdded
            | Kind::LogTruncated
            | Kind::GapRefused
            | Kind::OffsetOutOfRange
            | Kind::DatabaseDenied
            | Kind::DatabaseRights
            | Kind::TableMissing
            | Kind::TableMismatch
            | Kind::SchemaVersion
            | Kind::Diverged
            | Kind::CheckpointUnusable
            | Kind::StateLost
            | Kind::PositionLost
            | Kind::Request
            | Kind::ReplayFailed
            | Kind::Internal => Policy::FailTask,
            Kind::Config => Policy::StopWorker,
        }
    }

    /// The way out, for the operator; one sentence.
    pub fn hint(self) -> &'static str {
        match self {
            Kind::Config => "Correct the file and run `weir check` on it.",
            Kind::Secret => "Set the variable, or make the file readable to weir.",
            Kind::PluginMissing => "Put the plugin's .wasm into the directory given by --plugins, or correct `type`.",
            Kind::PluginInvalid => "Build the plugin with `weir plugin build` and copy the whole file.",
            Kind::PluginTrap => "Report the trap to the plugin's author; the log holds its message and backtrace.",
            Kind::PluginDeadline => "Report it to the plugin's author, or give each call more time.",
            Kind::PluginLimit => "Raise the limit that is named, or give the plugin less to do.",
            Kind::PluginFailure => "Read the plugin's message; its settings or its input are at fault.",
            Kind::SwapRefused => {
                "What ran goes on; put a mended version in, or let this one in by `weir plugin approve`."
            }
            Kind::PluginRejects => "Read why it rejects them: its settings or its topic are wrong, or it is.",
            Kind::RecordMalformed | Kind::RecordRejected => {
                "Mend the producer, or set `errors.tolerance: all` to skip and record such records."
            }
            Kind::RecordRefused => {
                "Mend the record or the table's constraint, or set `errors.tolerance: all` to skip and record such rows."
            }
            Kind::BrokerUnreachable => "Check `bootstrap.servers` and that the broker runs; weir keeps trying.",
            Kind::BrokerDenied => "Check the credentials and the rights of the Kafka user.",
            Kind::TopicMissing => "Create the topic or correct `topics`; weir keeps looking.",
            Kind::NameTaken => {
                "A worker that was killed is forgotten when its session ends; of two that run, give each a --state of its own."
            }
            Kind::TopicRecreated => {
                "Offsets of the deleted topic mean nothing in the new one: give the pipeline another name, and it begins anew."
            }
            Kind::TopicCompacted => {
                "Raise the topic's `min.compaction.lag.ms`, take checkpoints more often, or read a topic that is not compacted."
            }
            Kind::PartitionsAdded => {
                "A key that moved to another partition has left its state behind: set `partitions.added: continue` to read \
                 them from their first record on, or repartition into a topic of its own."
            }
            Kind::LogTruncated => {
                "Rows of records that are gone are in the table, and others may lie in their place: compare both, then decide."
            }
            Kind::OffsetOutOfRange => {
                "Records were deleted before they were read: go on without them by the command that is named, or begin anew \
                 under another name."
            }
            Kind::GapRefused => "Take pipeline, partition and offsets as the failed task names them.",
            Kind::DatabaseUnreachable => "Check `connection.url` and that the database runs; weir keeps trying.",
            Kind::DatabaseBusy => "The database is short of a resource or holds a lock; weir keeps trying.",
            Kind::DatabaseDenied => "Check the user and the password in `connection.url` and `connection.password`.",
            Kind::DatabaseRights => "Grant the right that is named, or run the SQL shown as a user who may.",
            Kind::TableMissing => "Create the table, or set `auto.create: true`.",
            Kind::TableMismatch => "Change the column, or convert the field with a transform.",
            Kind::SchemaVersion => "Run a weir as new as the one that last wrote the schema.",
            Kind::Fenced => "Another worker writes this pipeline; stop one of them, or give them the same group.",
            Kind::Diverged => {
                "The log or the plugin no longer gives what it gave before: restore them, or reprocess into a new table."
            }
            Kind::StorageFailed => "Check the rights and the free space of the directory; weir keeps trying.",
            Kind::CheckpointUnusable => {
                "Restore the state from where it lies, or let the lane be replayed from its start by deleting its checkpoints."
            }
            Kind::StateLost => "Restore the savepoint again (`weir savepoint restore`), or reprocess into a new table.",
            Kind::Request => "Nothing was changed; the command's `--help` shows what it takes.",
            Kind::ReplayFailed => {
                "What is written stays: once the cause is gone, the same command with `--id` goes on from there."
            }
            Kind::PositionLost => "The database went back in time: restore it further, or reprocess.",
            Kind::Internal => "This is a defect of weir: please report it with the log.",
        }
    }
}

/// A failure: what kind, what was being done to what, and why.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure told in one sentence (no full stop) that names the thing.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// The same with the cause below it.
    pub fn caused(
        kind: Kind,
        message: impl Into<Cow<'static, str>>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Error { kind, message: message.into(), source: Some(Arc::new(source)) }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is done about it.
    pub fn policy(&self) -> Policy {
        self.kind.policy()
    }

    /// The way out, for the operator.
    pub fn hint(&self) -> &'static str {
        self.kind.hint()
    }

    /// The same failure seen from further out: `doing` is put before the sentence.
    #[must_use]
    pub fn during(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message).into();
        self
    }

    /// The sentence, its causes and the hint: what status and logs show.
    pub fn report(&self) -> String {
        format!("{self}. {}", self.hint())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
