-- Version 2: checkpoints of state, and by what a log is known again.
ALTER TABLE {schema}.position ADD COLUMN IF NOT EXISTS generation bytea;
ALTER TABLE {schema}.position ADD COLUMN IF NOT EXISTS topic_id text;
ALTER TABLE {schema}.position ADD COLUMN IF NOT EXISTS leader_epoch int4;
COMMENT ON COLUMN {schema}.position.generation IS 'The chain that speaks: SHA-256 of its description.';

CREATE TABLE IF NOT EXISTS {schema}.checkpoint (
  id uuid PRIMARY KEY,
  pipeline text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  partition int4 NOT NULL,
  at_offset int8 NOT NULL,
  epoch int8 NOT NULL,
  generation bytea NOT NULL,
  records_in int8 NOT NULL,
  rows_out int8 NOT NULL,
  bytes int8 NOT NULL,
  content text NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS checkpoint_lane ON {schema}.checkpoint (pipeline, topic, partition, at_offset DESC);
COMMENT ON TABLE {schema}.checkpoint IS 'Checkpoints that count: the state of a lane after all records below at_offset.';

-- Chunks are compressed already.
CREATE TABLE IF NOT EXISTS {schema}.checkpoint_chunk (
  checkpoint uuid NOT NULL,
  number int4 NOT NULL,
  pipeline text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  partition int4 NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (checkpoint, number)
);
ALTER TABLE {schema}.checkpoint_chunk ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS checkpoint_chunk_lane ON {schema}.checkpoint_chunk (pipeline, topic, partition);
COMMENT ON TABLE {schema}.checkpoint_chunk IS 'Parts of checkpoints: an Arrow IPC stream behind a header.';
