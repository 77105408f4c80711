//! Everything that touches the Kafka client: settings, group membership, bulk reading, start offsets, and the
//! embedded broker of the demo. Nothing outside this folder names a type of the client library.

pub mod admin;
pub mod bulk;
pub mod compaction;
pub mod consumer;
pub mod log;
pub mod mock;
pub mod offsets;
pub mod producer;
pub mod settings;
pub mod topics;

#[cfg(test)]
mod consumer_tests;

pub use consumer::{Consumer, GroupEvent, ReadError, Waker};
pub use settings::ConsumerSettings;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::{Error, Kind};

/// A failure of the client library as one of ours: `doing` says what was tried.
pub(crate) fn failure(doing: &str, error: &KafkaError) -> Error {
    let kind = error.rdkafka_error_code().map_or(Kind::BrokerUnreachable, kind_of);
    // Its source is the code, which it tells itself.
    Error::new(kind, format!("{doing}: {error}"))
}

/// Which kind of failure a broker's or the client's code is.
pub(crate) fn kind_of(code: Code) -> Kind {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => Kind::TopicMissing,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication => Kind::BrokerDenied,
        Code::OffsetOutOfRange | Code::AutoOffsetReset => Kind::OffsetOutOfRange,
        Code::FencedInstanceId | Code::UnreleasedInstanceId => Kind::NameTaken,
        Code::InvalidArgument => Kind::Config,
        _ => Kind::BrokerUnreachable,
    }
}
