-- Version 6: what workers and operators decide about chains that are to take over, and what became of them.
CREATE TABLE IF NOT EXISTS {schema}.ruling (
  pipeline text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  says text NOT NULL,
  detail text NOT NULL,
  decided_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, subject)
);
COMMENT ON TABLE {schema}.ruling IS 'Plugins by SHA-256, or generations, that are refused or approved, and the versions that stages are pinned to.';

CREATE TABLE IF NOT EXISTS {schema}.swap (
  pipeline text COLLATE "C" NOT NULL,
  worker text COLLATE "C" NOT NULL,
  generation bytea NOT NULL,
  plugins text NOT NULL,
  stage text NOT NULL,
  detail text NOT NULL,
  subjects text[] NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pipeline, worker, generation)
);
COMMENT ON TABLE {schema}.swap IS 'Where each chain that was to take over stands, by worker.';
