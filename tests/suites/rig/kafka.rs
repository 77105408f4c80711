//! What the rig sends through Kafka arrives as sent.

use anyhow::Result;
use weir_tests::kafka::{Isolation, Kafka, Record, Stored};

#[tokio::test]
async fn records_arrive_to_the_byte() -> Result<()> {
    let kafka = Kafka::from_environment()?;
    let topic = kafka.topic("bytes", 2).await?;
    let producer = kafka.producer()?;
    let raw = [0, 159, 146, 150, 0];
    let full = Record::new(&raw).key("k\0").header("a", Some(b"1")).header("a", None).timestamp_ms(1_790_000_000_123);
    producer.send(&topic, &full.partition(1))?;
    producer.send(&topic, &Record::tombstone().key("gone").timestamp_ms(5).partition(1))?;
    producer.flush()?;
    let stored = kafka.read(&topic, Isolation::ReadCommitted)?;
    let expected = [
        Stored {
            partition: 1,
            offset: 0,
            timestamp_ms: Some(1_790_000_000_123),
            key: Some(b"k\0".to_vec()),
            value: Some(raw.to_vec()),
            headers: vec![("a".to_owned(), Some(b"1".to_vec())), ("a".to_owned(), None)],
        },
        Stored {
            partition: 1,
            offset: 1,
            timestamp_ms: Some(5),
            key: Some(b"gone".to_vec()),
            value: None,
            headers: vec![],
        },
    ];
    assert_eq!(stored, expected);
    assert_eq!(kafka.offsets(&topic, 1)?, (0, 2));
    Ok(())
}

#[tokio::test]
async fn more_records_than_the_clients_queue_takes_arrive_once() -> Result<()> {
    let kafka = Kafka::from_environment()?;
    let topic = kafka.topic("many", 4).await?;
    let producer = kafka.producer_with(&[("queue.buffering.max.messages", "1000")])?;
    producer.send_all(&topic, (0..20_000).map(|n| n.to_string()))?;
    producer.flush()?;
    let mut numbers: Vec<u32> = kafka
        .read(&topic, Isolation::ReadCommitted)?
        .into_iter()
        .map(|record| String::from_utf8(record.value.unwrap()).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..20_000));
    Ok(())
}

#[tokio::test]
async fn aborted_transactions_are_seen_only_by_readers_of_the_uncommitted() -> Result<()> {
    let kafka = Kafka::from_environment()?;
    let topic = kafka.topic("transactions", 1).await?;
    let producer = kafka.transactional()?;
    for (values, commits) in [(["a", "b"], true), (["c", "d"], false), (["e", "f"], true)] {
        producer.begin()?;
        producer.send_all(&topic, values)?;
        if commits { producer.commit() } else { producer.abort() }?;
    }
    let seen = |isolation| -> Result<String> {
        let records = kafka.read(&topic, isolation)?;
        Ok(records.into_iter().map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect())
    };
    assert_eq!(seen(Isolation::ReadCommitted)?, "abef");
    assert_eq!(seen(Isolation::ReadUncommitted)?, "abcdef");
    Ok(())
}

#[tokio::test]
async fn a_groups_offsets_come_back_with_their_metadata() -> Result<()> {
    let kafka = Kafka::from_environment()?;
    let topic = kafka.topic("group", 3).await?;
    assert!(kafka.group_offsets("nobody-yet", &topic).await?.is_empty());
    kafka.commit("somebody", &topic, &[(0, 7), (2, 9)], "mark").await?;
    let offsets = kafka.group_offsets("somebody", &topic).await?;
    assert_eq!(offsets.into_iter().collect::<Vec<_>>(), [(0, (7, "mark".to_owned())), (2, (9, "mark".to_owned()))]);
    Ok(())
}

#[tokio::test]
async fn topics_are_made_as_told_and_removed() -> Result<()> {
    let kafka = Kafka::from_environment()?;
    let topic = kafka.topic_with("small", 1, &[("max.message.bytes", "1000")]).await?;
    kafka.add_partitions(&topic, 5).await?;
    assert_eq!(kafka.partitions(&topic)?, [0, 1, 2, 3, 4]);
    let producer = kafka.producer()?;
    producer.send_all(&topic, [vec![b'x'; 5_000]])?;
    let refused = producer.flush().unwrap_err().to_string();
    assert!(refused.contains("1 records were not delivered") && refused.contains("MessageSizeTooLarge"), "{refused}");
    kafka.delete(&topic).await?;
    assert!(kafka.create(&topic, 0, &[]).await.is_err(), "no topic without partitions");
    let missing = kafka.producer_with(&[("message.timeout.ms", "2000")])?;
    missing.send_all("never-made", ["x"])?;
    assert!(missing.flush().is_err(), "the broker makes no topics by itself");
    Ok(())
}
