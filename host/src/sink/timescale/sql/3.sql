-- Version 3: savepoints, and lanes that an operator has placed. An older weir would write a rewound lane's rows twice.
ALTER TABLE {schema}.position ADD COLUMN IF NOT EXISTS rewrite_until int8;
ALTER TABLE {schema}.position ADD COLUMN IF NOT EXISTS needs_state boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN {schema}.position.rewrite_until IS 'Below this offset there are rows from before a rewind: each goes in the transaction that writes it anew.';
COMMENT ON COLUMN {schema}.position.needs_state IS 'The state began in a savepoint: without a checkpoint the lane cannot be read.';

CREATE TABLE IF NOT EXISTS {schema}.savepoint (
  name text COLLATE "C" PRIMARY KEY,
  pipeline text COLLATE "C" NOT NULL,
  in_directory boolean NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE {schema}.savepoint IS 'Checkpoints that are kept until their owner deletes them: those of pipeline @savepoint/NAME.';
