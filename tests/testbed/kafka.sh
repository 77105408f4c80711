# Apache Kafka for tests: one KRaft node in its own folder. Sourced after lib.sh and maven.sh.
# A start takes 2-3 s: the storage is formatted once and copied, the classes come from an archive that the
# first run leaves behind (the JVM ignores it silently when Java or the jars have changed).

kafka_java() {
  # Small and quick to start; a bench asks for one that is as fast as it gets.
  # shellcheck disable=SC2086
  child KILL java ${WEIR_BROKER_JAVA:--Xms64m -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC} -XX:-UsePerfData \
    -Xlog:disable -Xlog:all=error:stderr -Djava.net.preferIPv4Stack=true -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$here/log4j2.properties" -Dlog4j2.disable.jmx=true \
    -Dkafka.logs.dir="$kafka_dir" "$@"
}

kafka_class_path() {
  find "$jars" -name '*.jar' ! -name 'embedded-postgres*' | LC_ALL=C sort | paste -sd:
}

# kafka_configure PORT CONTROLLER_PORT [LINKED_PORT ADVERTISED_PORT] : who comes in by the linked port is told the
# advertised one, so that all of its connections pass what lies between the two.
kafka_configure() {
  local port=$1 controller_port=$2
  {
    cat "$here/kafka.properties"
    printf 'listeners=PLAINTEXT://127.0.0.1:%s,CONTROLLER://127.0.0.1:%s%s\n' "$port" "$controller_port" "${3:+,LINKED://127.0.0.1:$3}"
    printf 'advertised.listeners=PLAINTEXT://127.0.0.1:%s%s\n' "$port" "${4:+,LINKED://127.0.0.1:$4}"
    printf 'controller.quorum.voters=1@127.0.0.1:%s\n' "$controller_port"
    printf 'log.dirs=%s/log\n' "$kafka_dir"
  } >"$kafka_dir/server.properties"
}

# The formatted storage holds no port and no path, so one serves every run.
kafka_format() {
  local template="$jars.storage"
  [ ! -d "$kafka_dir/log" ] || return 0
  if [ ! -d "$template" ]; then
    (kafka_java -cp "$(kafka_class_path)" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk \
      -c "$kafka_dir/server.properties") >"$kafka_dir/format.log" 2>&1 || { cat "$kafka_dir/format.log" >&2; die "Kafka's storage could not be formatted"; }
    cp -r "$kafka_dir/log" "$template.partial.$$"
    settle "$template.partial.$$" "$template"
    return
  fi
  cp -r "$template" "$kafka_dir/log"
}

# kafka_prepare DIR PORTS... : the folder, as it was left where it is not new; the ports are those of kafka_configure.
kafka_prepare() {
  kafka_dir=$1
  mkdir -p "$kafka_dir"
  kafka_configure "${@:2}"
  kafka_format
  kafka_archive="$jars.$(java -version 2>&1 | sha256sum | cut -c1-8).jsa"
}

# kafka_become [FLAG...] : the broker of the prepared folder, in place of this shell.
kafka_become() {
  [ ! -f "$kafka_archive" ] || set -- -Xshare:auto -XX:SharedArchiveFile="$kafka_archive"
  kafka_java "$@" -cp "$(kafka_class_path)" kafka.Kafka "$kafka_dir/server.properties"
}

# kafka_launch DIR PORT CONTROLLER_PORT, then kafka_await.
kafka_launch() {
  kafka_prepare "$@"
  (kafka_become -XX:ArchiveClassesAtExit="$kafka_dir/classes.jsa") >"$kafka_dir/server.log" 2>&1 </dev/null &
  kafka_pid=$!
}

kafka_await() { await Kafka "$kafka_pid" "$kafka_dir/server.log" kafka_serves; }

# The broker writes this line after it was unfenced and its listeners were opened.
kafka_serves() { grep -q 'Kafka Server started' "$kafka_dir/server.log"; }

kafka_stop() {
  stop "$kafka_pid" TERM 20
  [ -f "$kafka_dir/classes.jsa" ] && mv "$kafka_dir/classes.jsa" "$kafka_archive"
  return 0
}
