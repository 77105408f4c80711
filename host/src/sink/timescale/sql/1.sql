-- Version 1: positions and decisions. Every other table of weir follows in later versions.
CREATE TABLE IF NOT EXISTS {schema}.meta (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  version int4 NOT NULL,
  min_reader int4 NOT NULL,
  migrated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE {schema}.meta IS 'Version of this schema, and the oldest weir that may use it.';

-- Updated once per flush: room in the page keeps the updates heap-only.
CREATE TABLE IF NOT EXISTS {schema}.position (
  pipeline text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  partition int4 NOT NULL,
  next_offset int8 NOT NULL,
  start_offset int8 NOT NULL,
  epoch int8 NOT NULL,
  token uuid NOT NULL,
  owner text NOT NULL,
  records_in int8 NOT NULL DEFAULT 0,
  rows_out int8 NOT NULL DEFAULT 0,
  claimed_at timestamptz NOT NULL DEFAULT now(),
  advanced_at timestamptz,
  PRIMARY KEY (pipeline, topic, partition)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE {schema}.position IS 'Where each pipeline stands in each partition: moved in the transaction of the rows.';

CREATE TABLE IF NOT EXISTS {schema}.decision (
  pipeline text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  partition int4 NOT NULL,
  at_offset int8 NOT NULL,
  kind text NOT NULL,
  stage int2 NOT NULL,
  detail text NOT NULL,
  decided_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, topic, partition, at_offset, kind, stage)
);
COMMENT ON TABLE {schema}.decision IS 'What a replay could not derive from the log: records that became no row, and why.';
