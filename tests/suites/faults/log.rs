//! A log that no longer holds what is to be read: the task stops and says so, and passes nothing over.

use anyhow::Result;

use super::Stream;

#[tokio::test]
async fn records_that_were_deleted_unread_fail_the_task_and_nothing_is_passed_over() -> Result<()> {
    let mut stream = Stream::start("deleted", 2).await?;
    let plan = stream.plan(&stream.db.url(), "")?;
    let worker = plan.start()?;
    stream.send(50)?;
    stream.arrived(&worker).await?;
    worker.stop().await?;
    stream.send(50)?;
    stream.kafka.delete_records(&stream.topic, 1, 80).await?;
    let worker = plan.start()?;
    let status = worker.tasks_are(&stream.name, "FAILED").await?;
    let trace = status["tasks"][0]["trace"].as_str().unwrap_or_default();
    assert!(trace.contains(&format!("{}-1", stream.topic)), "the lane is named: {trace}");
    assert!(trace.contains("Records were deleted before they were read"), "the way out is told: {trace}");
    let positions = stream.positions().await?;
    assert_eq!(positions[1], 50, "nothing of the lane is passed over");
    assert_eq!(stream.db.count("averages WHERE kafka_partition = 1").await?, 50);
    Ok(())
}
