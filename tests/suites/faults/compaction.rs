//! A topic whose broker takes records away by key: state that may not be rebuilt from it is not begun.

use anyhow::{Context, Result, ensure};
use weir_tests::kafka::Record;

use super::{Stream, trace};

/// Ten intervals of this many milliseconds are a minute.
const INTERVAL: &str = "checkpoint.interval.ms: 6000\n";

impl Stream {
    /// The same before a topic that is compacted when its records are so old.
    async fn compacted(hint: &str, lag_ms: &str) -> Result<Self> {
        let mut stream = Self::start(hint, 1).await?;
        let settings = [("cleanup.policy", "compact"), ("min.compaction.lag.ms", lag_ms)];
        stream.topic = stream.kafka.topic_with(hint, 1, &settings).await?;
        stream.name.clone_from(&stream.topic);
        Ok(stream)
    }

    /// Sends prices with keys, without which such a topic takes none.
    fn send_keyed(&self, count: usize) -> Result<()> {
        for number in 0..count {
            let (symbol, price) = (number % 3, number % 40);
            let value = format!(r#"{{"symbol":"S{symbol}","price":{price}}}"#);
            self.producer.send(&self.topic, &Record::new(&value).key(&format!("S{symbol}")).partition(0))?;
        }
        self.producer.flush()
    }
}

#[tokio::test]
async fn a_compacted_topic_under_state_is_read_only_where_its_records_stay_long_enough() -> Result<()> {
    let early = Stream::compacted("compacted", "59999").await?;
    early.send_keyed(20)?;
    let worker = early.plan(&early.db.url(), INTERVAL)?.start()?;
    let trace = trace(&worker, &early).await?;
    let told = format!("topic {} is compacted when its records are 59999 ms old", early.topic);
    assert!(trace.contains(&told) && trace.contains("must stay 60000 ms"), "{trace}");
    assert!(trace.contains("Raise the topic's `min.compaction.lag.ms`"), "the way out is told: {trace}");
    assert_eq!(early.db.count("weir.position").await?, 0, "nothing was claimed");
    worker.stop().await?;

    let late = Stream::compacted("compactable", "60000").await?;
    let worker = late.plan(&late.db.url(), INTERVAL)?.start()?;
    late.send_keyed(50)?;
    late.arrived(&worker).await?;
    late.check(0).await?;
    ensure!(worker.logs().with("it is not known whether topics are compacted").is_empty());
    Ok(())
}

#[tokio::test]
async fn a_compacted_topic_without_state_is_read() -> Result<()> {
    let stream = Stream::compacted("stateless", "0").await?;
    let yaml = stream.yaml(&stream.db.url(), "fields.missing: null\n");
    let (head, rest) = yaml.split_once("transforms:").context("the chain")?;
    let (_, tail) = rest.split_once("consumer.override").context("the rest")?;
    let plan = stream.plan(&stream.db.url(), "")?.pipeline(&stream.name, &format!("{head}consumer.override{tail}"))?;
    let worker = plan.start()?;
    stream.send_keyed(50)?;
    stream.arrived(&worker).await?;
    assert_eq!(stream.db.count("averages").await?, 50);
    Ok(())
}
