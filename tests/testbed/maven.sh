# Fetches what pom.xml names, once. Sourced after lib.sh; sets $jars.

maven_fetch() {
  local platform=linux-amd64
  [ "$(uname -m)" = x86_64 ] || platform=linux-arm64v8
  jars=$(cached jars "$here/pom.xml")
  [ -d "$jars" ] && return
  say "fetching Apache Kafka and PostgreSQL from Maven Central (60 MB, once)"
  local partial=$jars.partial.$$
  mkdir -p "$partial"
  mvn -B -q -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -Dpostgres.platform="$platform" -DoutputDirectory="$partial" >&2 || die "Maven could not fetch the testbed's servers"
  settle "$partial" "$jars"
}
