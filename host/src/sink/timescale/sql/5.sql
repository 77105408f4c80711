-- Version 5: advances of the watermark by an idle timeout.
ALTER TABLE {schema}.position ADD COLUMN IF NOT EXISTS idle_advances int8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN {schema}.position.idle_advances IS 'How often an idle timeout has moved watermarks: it moves no offset, by which its transaction could be told.';

ALTER TABLE {schema}.checkpoint ADD COLUMN IF NOT EXISTS idle_advances int8 NOT NULL DEFAULT 0;
COMMENT ON COLUMN {schema}.checkpoint.idle_advances IS 'The same of the position when the state was taken.';

-- Of the kind idle: the watermark that a stage was moved to, in microseconds since the epoch.
ALTER TABLE {schema}.decision ADD COLUMN IF NOT EXISTS watermark int8;
