//! The consumer against librdkafka's mock cluster: membership, bulk reading, payloads as they were sent.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test may panic")]

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::mock::EmbeddedBroker;
use super::{Consumer, ConsumerSettings, GroupEvent, Waker};
use crate::clock::Clock;
use crate::record::{Lane, Origin};

const DEADLINE: Duration = Duration::from_secs(30);

fn settings(broker: &EmbeddedBroker) -> ConsumerSettings {
    ConsumerSettings {
        bootstrap_servers: broker.bootstrap_servers(),
        group: "connect-x".into(),
        instance: "worker-x-0".into(),
        client_id: "connector-consumer-x-0".into(),
        topics: vec!["t".into()],
        overrides: BTreeMap::new(),
        tells_ends: false,
        fetch_bytes_max: 8 << 20,
    }
}

fn consumer(broker: &EmbeddedBroker) -> (Consumer, Receiver<()>) {
    let (wake, woken) = channel();
    let wake = Mutex::new(wake);
    let waker: Waker = Arc::new(move || {
        let _ = wake.lock().unwrap().send(());
    });
    (Consumer::new(&settings(broker), &waker).unwrap(), woken)
}

/// Serves and reads until `done` says so; panics at the deadline.
fn until(
    consumer: &mut Consumer,
    woken: &Receiver<()>,
    mut done: impl FnMut(&mut Consumer, Vec<GroupEvent>, Vec<Origin>) -> bool,
) {
    let clock = Clock::start();
    while clock.elapsed() < DEADLINE {
        let (events, _) = consumer.serve();
        let (runs, errors) = consumer.read(8_192);
        assert!(errors.is_empty(), "{errors:?}");
        if done(consumer, events, runs) {
            return;
        }
        match woken.recv_timeout(Duration::from_millis(100)) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("the consumer dropped its waker"),
        }
    }
    panic!("not done within {DEADLINE:?}");
}

fn produce(broker: &EmbeddedBroker) {
    let servers = broker.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    for number in 0..3_000i64 {
        let value = format!("value {number}");
        let mut record = BaseRecord::<str, str>::to("t").partition((number % 2) as i32).timestamp(1_000 + number);
        if number % 3 != 0 {
            record = record.key("key");
        }
        if number % 5 != 0 {
            record = record.payload(&value);
        }
        let header = Header { key: "h", value: Some("1") };
        record = record.headers(OwnedHeaders::new().insert(header).insert(Header { key: "n", value: None::<&str> }));
        producer.send(record).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

#[test]
fn records_come_in_runs_of_one_lane_as_they_were_sent() {
    let broker = EmbeddedBroker::start("t", 2).unwrap();
    produce(&broker);
    let (mut consumer, woken) = consumer(&broker);
    let mut seen: BTreeMap<Lane, Vec<i64>> = BTreeMap::new();
    until(&mut consumer, &woken, |consumer, events, runs| {
        for event in events {
            let GroupEvent::Assigned(lanes) = event else { panic!("{event:?}") };
            assert_eq!(lanes, [Lane::new("t", 0), Lane::new("t", 1)]);
            consumer.start(&lanes[0], 0, None).unwrap();
            consumer.start(&lanes[1], 1_000, None).unwrap();
        }
        for run in &runs {
            check(run);
            seen.entry(run.lane.clone()).or_default().extend(run.offsets.iter());
        }
        seen.values().map(Vec::len).sum::<usize>() == 2_000
    });
    assert_eq!(seen[&Lane::new("t", 0)], (0..1_500).collect::<Vec<_>>());
    assert_eq!(seen[&Lane::new("t", 1)], (1_000..1_500).collect::<Vec<_>>());
}

fn check(run: &Origin) {
    for row in 0..run.len() {
        let number = run.offsets[row] * 2 + i64::from(run.lane.partition);
        let value = format!("value {number}");
        assert_eq!(run.timestamps[row], (1_000 + number) * 1_000);
        assert_eq!(run.key(row), (number % 3 != 0).then_some(b"key".as_slice()));
        assert_eq!(run.value(row), (number % 5 != 0).then_some(value.as_bytes()));
        assert_eq!(run.headers(row), [("h", Some(b"1".as_slice())), ("n", None)]);
    }
}

#[test]
fn a_lane_can_be_stopped_and_started_elsewhere() {
    let broker = EmbeddedBroker::start("t", 2).unwrap();
    produce(&broker);
    let (mut consumer, woken) = consumer(&broker);
    let lane = Lane::new("t", 1);
    let mut first = Vec::new();
    until(&mut consumer, &woken, |consumer, events, runs| {
        for _ in events {
            consumer.start(&lane, 1_200, None).unwrap();
        }
        first.extend(runs.iter().flat_map(|run| run.offsets.to_vec()));
        first.len() == 300
    });
    consumer.stop(std::slice::from_ref(&lane), false).unwrap();
    consumer.start(&lane, 1_490, None).unwrap();
    let mut again = Vec::new();
    until(&mut consumer, &woken, |_, _, runs| {
        again.extend(runs.iter().flat_map(|run| run.offsets.to_vec()));
        again.len() == 10
    });
    assert_eq!(again, (1_490..1_500).collect::<Vec<_>>());
    assert_eq!(consumer.cached_end(&lane), Some(1_500));
}
