# Fetches what pom.xml names, once. Sourced after lib.sh; sets $jars.

maven_fetch() {
  local platform=linux-amd64
  [ "$(uname -m)" = x86_64 ] || platform=linux-arm64v8
  jars=$(cached jars "$here/pom.xml")
  [ -d "$jars" ] && return
  say "fetching Apache Kafka and PostgreSQL from Maven Central (60 MB, once)"
  rm -rf "$jars.partial"
  mkdir -p "$jars.partial"
  mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -Dpostgres.platform="$platform" -DoutputDirectory="$jars.partial" >&2 || die "Maven could not fetch the testbed's servers"
  mv "$jars.partial" "$jars"
}
