-- Version 4: what a topic was when a pipeline read it first, and gaps that an operator accepts.
CREATE TABLE IF NOT EXISTS {schema}.topic (
  pipeline text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  topic_id text,
  partitions int4 NOT NULL,
  noted_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, topic)
);
COMMENT ON TABLE {schema}.topic IS 'The id and the number of partitions that a topic had when a pipeline first read it.';

-- Of the kinds gap and forgotten: the first offset behind it.
ALTER TABLE {schema}.decision ADD COLUMN IF NOT EXISTS to_offset int8;
