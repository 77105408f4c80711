//! The Kafka side of a test: topics, producers that send any bytes, transactions, and what a topic or a group holds.
//! Calls block for as long as the broker takes, [`WAIT`] at most.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use crate::environment::{BROKERS, unique, variable};
use crate::eventually::eventually;

/// Longest wait for an answer of the broker.
pub const WAIT: Duration = Duration::from_secs(30);

/// What a group's coordinator says, or is said of it, while it is still settling.
const COORDINATION: [RDKafkaErrorCode; 3] = [
    RDKafkaErrorCode::NotCoordinator,
    RDKafkaErrorCode::CoordinatorNotAvailable,
    RDKafkaErrorCode::CoordinatorLoadInProgress,
];

/// The broker under test.
#[derive(Debug, Clone)]
pub struct Kafka {
    brokers: String,
}

/// A record to send. Unset parts stay null; the partition is chosen by the key.
#[derive(Debug, Clone, Default)]
pub struct Record<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<(&'a str, Option<&'a [u8]>)>,
    timestamp_ms: Option<i64>,
    partition: Option<i32>,
}

/// A record as it lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// The raw key, none when null.
    pub key: Option<Vec<u8>>,
    /// The raw value, none when null (a tombstone).
    pub value: Option<Vec<u8>>,
    /// Headers in the order sent.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Those of committed transactions, and those sent without one.
    ReadCommitted,
    /// All.
    ReadUncommitted,
}

impl<'a> Record<'a> {
    /// A record with this value.
    pub fn new(value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { value: Some(value.as_ref()), ..Self::default() }
    }

    /// A record whose value is null.
    pub fn tombstone() -> Self {
        Self::default()
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: Option<&'a [u8]>) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the timestamp, in milliseconds since the epoch.
    #[must_use]
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// Sends it to this partition whatever the key.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    fn addressed(&self, topic: &'a str) -> BaseRecord<'a, [u8], [u8]> {
        let mut record = BaseRecord::to(topic);
        record.key = self.key;
        record.payload = self.value;
        record.timestamp = self.timestamp_ms;
        record.partition = self.partition;
        if !self.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(self.headers.len());
            let add = |all: OwnedHeaders, &(key, value): &(&str, Option<&[u8]>)| all.insert(Header { key, value });
            record.headers = Some(self.headers.iter().fold(headers, add));
        }
        record
    }
}

impl Kafka {
    /// The broker that `tests/run` started.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_environment() -> Result<Self> {
        Ok(Self::at(&variable(BROKERS)?))
    }

    /// The broker at `HOST:PORT`.
    pub fn at(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned() }
    }

    /// Asks for something and is content with any answer.
    ///
    /// # Errors
    /// When none comes within a second.
    pub fn answers(&self) -> Result<()> {
        self.client::<BaseConsumer>(&[])?.fetch_metadata(None, Duration::from_secs(1))?;
        Ok(())
    }

    /// `HOST:PORT`, for `bootstrap.servers`.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    fn client<T: FromClientConfig>(&self, settings: &[(&str, &str)]) -> Result<T> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Ok(config.create()?)
    }

    /// Creates a topic of a name that begins with `hint` and that no other test uses; returns the name.
    pub async fn topic(&self, hint: &str, partitions: i32) -> Result<String> {
        self.topic_with(hint, partitions, &[]).await
    }

    /// The same with topic settings, such as `("cleanup.policy", "compact")`.
    pub async fn topic_with(&self, hint: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<String> {
        let name = unique(hint).replace('_', "-");
        self.create(&name, partitions, settings).await?;
        Ok(name)
    }

    /// Creates a topic of exactly this name.
    pub async fn create(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let topic =
            settings.iter().fold(NewTopic::new(name, partitions, TopicReplication::Fixed(1)), |topic, (key, value)| {
                topic.set(key, value)
            });
        let answers = self.admin()?.create_topics([&topic], &patient()).await?;
        accepted(answers).with_context(|| format!("create topic {name}"))
    }

    /// Deletes a topic.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let answers = self.admin()?.delete_topics(&[name], &patient()).await?;
        accepted(answers).with_context(|| format!("delete topic {name}"))
    }

    /// Raises the number of partitions of a topic to `total`.
    pub async fn add_partitions(&self, name: &str, total: usize) -> Result<()> {
        let answers = self.admin()?.create_partitions([&NewPartitions::new(name, total)], &patient()).await?;
        accepted(answers).with_context(|| format!("add partitions to topic {name}"))
    }

    /// Deletes the records of a partition below an offset, as retention does.
    pub async fn delete_records(&self, topic: &str, partition: i32, below: i64) -> Result<()> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(below))?;
        for answer in self.admin()?.delete_records(&offsets, &patient()).await?.elements() {
            answer.error()?;
        }
        Ok(())
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        self.client(&[])
    }

    /// A producer; records are durable after [`Producer::flush`].
    pub fn producer(&self) -> Result<Producer> {
        self.producer_with(&[])
    }

    /// The same with client settings, such as `("compression.type", "lz4")`.
    pub fn producer_with(&self, settings: &[(&str, &str)]) -> Result<Producer> {
        let failures = Failures::default();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "1000000");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let inner = config.create_with_context(failures.clone())?;
        Ok(Producer { inner, failures })
    }

    /// A producer that sends only in transactions: see [`Producer::begin`].
    pub fn transactional(&self) -> Result<Producer> {
        let producer = self.producer_with(&[("transactional.id", &unique("transactional"))])?;
        producer.inner.init_transactions(WAIT)?;
        Ok(producer)
    }

    /// First and next offset of a partition.
    pub fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        Ok(self.client::<BaseConsumer>(&[])?.fetch_watermarks(topic, partition, WAIT)?)
    }

    /// The partitions of a topic.
    pub fn partitions(&self, topic: &str) -> Result<Vec<i32>> {
        let metadata = self.client::<BaseConsumer>(&[])?.fetch_metadata(Some(topic), WAIT)?;
        let found = metadata.topics().first().with_context(|| format!("no topic {topic}"))?;
        ensure!(found.error().is_none(), "topic {topic}: {:?}", found.error());
        Ok(found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
    }

    /// All records that a topic holds now, by partition and offset.
    pub fn read(&self, topic: &str, isolation: Isolation) -> Result<Vec<Stored>> {
        let level = match isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        let group = unique("reader");
        let settings = [("group.id", group.as_str()), ("enable.partition.eof", "true"), ("isolation.level", level)];
        let consumer: BaseConsumer = self.client(&settings)?;
        let mut unread = self.partitions(topic)?;
        let mut assignment = TopicPartitionList::new();
        for &partition in &unread {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        let mut records = Vec::new();
        while !unread.is_empty() {
            match consumer.poll(WAIT) {
                Some(Ok(message)) => records.push(stored(&message)),
                Some(Err(KafkaError::PartitionEOF(ended))) => {
                    unread.retain(|&partition| partition != ended);
                }
                Some(Err(error)) => return Err(error.into()),
                None => bail!("topic {topic} was silent for {WAIT:?}"),
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }

    /// What a group has committed for a topic: partition → next offset and metadata.
    pub async fn group_offsets(&self, group: &str, topic: &str) -> Result<BTreeMap<i32, (i64, String)>> {
        let mut asked = TopicPartitionList::new();
        for partition in self.partitions(topic)? {
            asked.add_partition(topic, partition);
        }
        let consumer: BaseConsumer = self.client(&[("group.id", group)])?;
        let answer = coordinated(|| consumer.committed_offsets(asked.clone(), WAIT)).await?;
        let committed = |of: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match of.offset() {
            Offset::Offset(next) => Some((of.partition(), (next, of.metadata().to_owned()))),
            _ => None,
        };
        Ok(answer.elements().iter().filter_map(committed).collect())
    }

    /// Commits offsets for a group that has no members, as an operator's tool does.
    pub async fn commit(&self, group: &str, topic: &str, next_offsets: &[(i32, i64)], metadata: &str) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for &(partition, next) in next_offsets {
            let mut of = list.add_partition(topic, partition);
            of.set_offset(Offset::Offset(next))?;
            of.set_metadata(metadata);
        }
        let consumer: BaseConsumer = self.client(&[("group.id", group)])?;
        coordinated(|| consumer.commit(&list, CommitMode::Sync)).await
    }
}

/// A broker that has just started names a group's coordinator before that is ready; the client does not ask again.
async fn coordinated<T>(ask: impl Fn() -> KafkaResult<T>) -> Result<T> {
    let answer = eventually("a coordinator of the group", WAIT, async || match ask() {
        Err(error) if error.rdkafka_error_code().is_some_and(|code| COORDINATION.contains(&code)) => Err(error.into()),
        answer => Ok(answer),
    });
    Ok(answer.await??)
}

fn patient() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(WAIT)).operation_timeout(Some(WAIT))
}

fn accepted(answers: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<()> {
    answers.into_iter().try_for_each(|answer| answer.map(|_| ()).map_err(|(name, code)| anyhow!("{name}: {code}")))
}

fn stored(message: &impl Message) -> Stored {
    let header = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
    }
}

/// Sends records; as many as the client's queue takes are under way at once.
pub struct Producer {
    inner: BaseProducer<Failures>,
    failures: Failures,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl Producer {
    /// Queues a record. A full queue makes the call wait.
    pub fn send(&self, topic: &str, record: &Record<'_>) -> Result<()> {
        let mut outgoing = record.addressed(topic);
        loop {
            match self.inner.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    outgoing = refused;
                    self.inner.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Queues one record per value, without keys.
    pub fn send_all<V: AsRef<[u8]>>(&self, topic: &str, values: impl IntoIterator<Item = V>) -> Result<()> {
        values.into_iter().try_for_each(|value| self.send(topic, &Record::new(&value)))
    }

    /// Waits until the broker has stored everything that was sent.
    ///
    /// # Errors
    /// The first record that it did not store.
    pub fn flush(&self) -> Result<()> {
        self.inner.flush(WAIT)?;
        self.failures.first().map_or(Ok(()), Err)
    }

    /// Opens a transaction.
    pub fn begin(&self) -> Result<()> {
        Ok(self.inner.begin_transaction()?)
    }

    /// Commits the open transaction with all that was sent in it.
    pub fn commit(&self) -> Result<()> {
        self.flush()?;
        Ok(self.inner.commit_transaction(WAIT)?)
    }

    /// Aborts the open transaction; what the broker has stored of it stays in the log, unseen by read_committed.
    pub fn abort(&self) -> Result<()> {
        self.flush()?;
        Ok(self.inner.abort_transaction(WAIT)?)
    }
}

/// Deliveries that failed, in order.
#[derive(Debug, Clone, Default)]
struct Failures(Arc<Mutex<Vec<String>>>);

impl Failures {
    fn first(&self) -> Option<anyhow::Error> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.first().map(|first| anyhow!("{} records were not delivered, the first: {first}", failures.len()))
    }
}

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, record)) = result {
            let failure = format!("{} [{}]: {error}", record.topic(), record.partition());
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        }
    }
}
