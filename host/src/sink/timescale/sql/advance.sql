CREATE OR REPLACE FUNCTION {schema}.advance_3(
  of_pipeline text, topics text[], partitions int4[], epochs int8[], tokens uuid[],
  froms int8[], tos int8[], more_records int8[], more_rows int8[],
  leader_epochs int4[], idles int8[], more_idles int8[]
) RETURNS void LANGUAGE plpgsql AS $weir$
#variable_conflict use_column
DECLARE
  found_row text;
BEGIN
  FOR i IN 1 .. cardinality(topics) LOOP
    UPDATE {schema}.position p
    SET next_offset = tos[i], records_in = p.records_in + more_records[i], rows_out = p.rows_out + more_rows[i],
        leader_epoch = leader_epochs[i], idle_advances = idles[i] + more_idles[i], advanced_at = now()
    WHERE p.pipeline = of_pipeline AND p.topic = topics[i] AND p.partition = partitions[i]
      AND p.epoch = epochs[i] AND p.token = tokens[i] AND p.next_offset = froms[i] AND p.idle_advances = idles[i];
    IF NOT FOUND THEN
      SELECT format('it is %s under epoch %s of %s', p.next_offset, p.epoch, p.owner) INTO found_row
      FROM {schema}.position p
      WHERE p.pipeline = of_pipeline AND p.topic = topics[i] AND p.partition = partitions[i];
      RAISE EXCEPTION USING ERRCODE = 'WE001',
        MESSAGE = format('the position of %s-%s is not %s under epoch %s', topics[i], partitions[i], froms[i], epochs[i]),
        DETAIL = coalesce(found_row, 'there is none');
    END IF;
  END LOOP;
END
$weir$;
