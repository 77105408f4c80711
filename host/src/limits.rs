//! Every bound of the worker in one table.

use std::time::Duration;

/// Rows of one batch, the most that a guest call sees.
pub const BATCH_ROWS_MAX: usize = 8_192;
/// Payload bytes of one batch; a larger single record goes alone.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// Rows of one flush: a stream that is behind gets transactions of up to this size.
pub const FLUSH_ROWS_MAX: usize = 100_000;
/// Encoded bytes plus payload bytes held by one flush.
pub const FLUSH_BYTES_MAX: usize = 64 << 20;
/// Resident memory of a worker that has nothing to do, the pages of its program included.
pub const IDLE_BYTES: u64 = 40 << 20;
/// One slice of work on the task's thread before it looks at its queue again.
pub const SLICE: Duration = Duration::from_millis(5);
/// The consumer is served at least this often, whatever happens: rebalances are delivered there.
pub const SERVE_INTERVAL: Duration = Duration::from_millis(100);
/// How often it is asked whether the topics that are read are still those that were claimed.
pub const TOPIC_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// First wait after a failed attempt; doubled up to [`RETRY_DELAY_MAX`].
pub const RETRY_DELAY_MIN: Duration = Duration::from_millis(10);
/// Longest wait between attempts.
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);
/// Fences of a lane, each less than [`FENCES_FORGOTTEN`] after the one before, after which a task fails and names the
/// other owner. A paused worker that wakes up is fenced once or twice; two workers of one pipeline without end.
pub const FENCES_MAX: u32 = 5;
/// First wait before a fenced lane is claimed again, doubled each time up to [`RETRY_DELAY_MAX`]: time for the group to
/// tell a worker that was paused that it has lost its lanes.
pub const FENCE_DELAY_MIN: Duration = Duration::from_millis(200);
/// Time after which a fence does not count any more.
pub const FENCES_FORGOTTEN: Duration = Duration::from_secs(300);
/// Refused rows of one flush after which the task fails: the table is at fault, not the rows.
pub const REFUSALS_PER_FLUSH_MAX: usize = 1_000;
/// Nesting of a JSON document.
pub const JSON_DEPTH_MAX: usize = 128;
/// Records of one batch that may break a guest and be excluded; beyond it the plugin is at fault.
pub const EXCLUSIONS_MAX: usize = 16;
/// Breakages of a lane's guests in a row, each somewhere else, after which its task fails.
pub const REBUILDS_MAX: u32 = 10;
/// Checkpoints of a lane that are kept.
pub const CHECKPOINTS_KEPT: usize = 3;
/// Bytes of state that a guest hands out, or takes, at a time: what a checkpoint costs its lane in one go.
pub const CHECKPOINT_PIECE_BYTES: u32 = 1 << 20;
/// Pieces that may wait for whoever keeps or restores them: what they hold counts as memory of the task.
pub const CHECKPOINT_PIECES_MAX: usize = 2;
/// Bytes of state in one chunk, before it is compressed.
pub const CHECKPOINT_CHUNK_BYTES: usize = 4 << 20;
/// Bytes of state that one chain hands to another at a time, between two batches.
pub const SWAP_PIECE_BYTES: u32 = 256 << 10;
/// News about the swaps of a pipeline that may wait for a database which does not answer; what comes then is not told.
pub const SWAP_NEWS_MAX: usize = 1_024;
/// Bytes of records that may wait for a chain that is given its state: beyond, the lane waits as well.
pub const SWAP_BACKLOG_BYTES_MAX: usize = 32 << 20;
// What follows up to the metrics holds where a pipeline's `plugin.limits.*` say nothing else.
/// Time of one guest call: describe, configure, process, advance.
pub const GUEST_CALL_MAX: Duration = Duration::from_secs(2);
/// Resolution of the guest deadline.
pub const GUEST_TICK: Duration = Duration::from_millis(10);
/// Linear memory of one guest.
pub const GUEST_MEMORY_BYTES_MAX: usize = 1 << 30;
/// Elements of one table of a guest.
pub const GUEST_TABLE_ELEMENTS_MAX: usize = 100_000;
/// Output rows of one guest call.
pub const GUEST_OUTPUT_ROWS_MAX: usize = 1 << 20;
/// Bytes that one guest call may hand to the host.
pub const GUEST_OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Log lines of one guest per second.
pub const GUEST_LOG_LINES_PER_SECOND: u32 = 100;
/// Bytes of one log line or error message of a guest; the rest is cut.
pub const GUEST_MESSAGE_BYTES_MAX: usize = 1_024;
/// Rows that one guest may reject one after the other before its task fails.
pub const GUEST_REJECTED_ROWS_MAX: u64 = 10_000;
/// Calls in a row by which a guest may say that more entries of a checkpoint follow, and hand out none.
pub const GUEST_EMPTY_PIECES_MAX: u32 = 1_000;
/// Metrics that one guest may declare.
pub const GUEST_METRICS_MAX: usize = 32;
/// Time between the two looks by which a plugin file is seen to be no longer written to.
pub const PLUGIN_SETTLE: Duration = Duration::from_millis(100);
/// Looks at the plugin directories at the start while a file in them is still being written.
pub const PLUGIN_SCANS_MAX: usize = 20;
/// Quiet after a change in a watched directory before it is looked at: files that come together are found together.
pub const WATCH_QUIET: Duration = Duration::from_millis(200);
/// The longest that changes without end put off a look at a watched directory.
pub const WATCH_STORM_MAX: Duration = Duration::from_secs(2);
/// Time between looks at a watched directory without any event: network mounts tell none.
pub const WATCH_RESCAN_INTERVAL: Duration = Duration::from_secs(30);
/// Metrics that all the guests of one stage may declare, one after the other.
pub const STAGE_METRICS_MAX: usize = 1_000;
/// Size of a component file.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// Time and memory for compiling one component, in a child process.
pub const COMPILE_MAX: Duration = Duration::from_secs(120);
/// Address space of the compiling child process.
pub const COMPILE_MEMORY_BYTES_MAX: u64 = 4 << 30;
/// Records within which a bound column must show up once, else the task fails.
pub const ABSENT_COLUMN_RECORDS_MAX: u64 = 1_000;
/// Time to finish or drop the flush when partitions are revoked or the worker stops.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Bytes of a trace in REST status: some clients stop reading at 256 KiB.
pub const TRACE_BYTES_MAX: usize = 32 << 10;
/// Time to reach one host of the database.
pub const DATABASE_CONNECT_MAX: Duration = Duration::from_secs(10);
/// Silence of the database's host after which its connection counts as broken.
pub const DATABASE_SILENCE_MAX: Duration = Duration::from_secs(30);
/// Time of one statement, the copying of a whole flush included; beyond it the flush is tried again.
pub const DATABASE_STATEMENT_MAX: Duration = Duration::from_secs(300);
/// Time that the database has for one answer, after which its connection is given up: more than it allows itself, so that
/// only what never answers (a proxy that hangs) comes so far.
pub const DATABASE_ANSWER_MAX: Duration = Duration::from_secs(330);
/// Wait for a lock in the database; beyond it the flush is tried again.
pub const DATABASE_LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// Wait for position rows that a transaction of our own, of unknown outcome, may still hold; then it is ended.
pub const DATABASE_POSITION_WAIT_MAX: Duration = Duration::from_secs(2);
/// Time that a transaction may stand still between two statements before the database ends it.
pub const DATABASE_IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(60);
/// Time to say goodbye to the database.
pub const DATABASE_CLOSE_MAX: Duration = Duration::from_secs(1);
/// Time for answers of REST that are under way when the worker ends; a client that does not read holds nobody up.
pub const REST_CLOSE_MAX: Duration = Duration::from_secs(1);
/// What a decision counts in a flush, in bytes: itself with its sentence, and both again on their way to the database.
pub const DECISION_BYTES: usize = 512;
/// Bytes of one message while rows are copied; small enough to stay in the processor's cache on the way.
pub const COPY_CHUNK_BYTES: usize = 32 << 10;
/// Records in a second whose age at their commit is measured, about.
pub const AGES_PER_S: usize = 2_000;
/// Records of one flush whose age is measured, at most.
pub const AGES_MAX: usize = 10_000;
