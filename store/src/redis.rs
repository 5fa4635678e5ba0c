//! The store in Redis: a counter `hashes`, a hash `wallet`, and under `dockercoins:` the last batch
//! of each run, the recent coins, the heartbeats, the history, and the units of work that this store
//! has added.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt,
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::redis::{
    Client, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, RedisError,
    RedisResult, Script, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    from_redis_value,
    io::tcp::TcpSettings,
};
use anyhow::{Context, Result, anyhow};

use crate::{
    ALIVE, Batch, HISTORY, Heartbeat, MAX_AHEAD, RECENT_COINS, RecentCoin, Snapshot, Totals,
    WorkerStatus,
    latency::{Latency, Operation, Timer},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the number of a run's last batch is stored, in seconds: a week, longer than Redis is
/// likely to be unreachable between a batch and its retry.
const FLUSH_EXPIRY: u64 = 7 * 24 * 3600;

/// Adds a batch unless the stored number of the run's last batch shows that it was added before. A
/// batch may arrive even after its own retry and later batches. Everything that can fail, e.g. on a
/// key of another type, runs before the first write: Redis does not undo the writes of a failed
/// script. The statistic `dockercoins:hashes` is an exception; its errors are ignored.
const ADD: &str = r"
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return {} end
redis.call('HLEN', KEYS[3])
redis.call('LLEN', KEYS[4])
local time = redis.call('TIME')
redis.call('INCRBY', KEYS[2], ARGV[4])
local known = {}
for i = 5, #ARGV, 2 do
  if redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) == 0 then
    known[#known + 1] = ARGV[i]
  elseif i > #ARGV - 2 * ARGV[3] then
    redis.call('LPUSH', KEYS[4], string.format('%s %s.%06d', ARGV[i], time[1], time[2]))
  end
end
redis.pcall('INCRBY', KEYS[5], ARGV[4])
redis.call('LTRIM', KEYS[4], 0, ARGV[3] - 1)
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return known
";

/// Stores a heartbeat, and removes the workers whose last one is too old.
const HEARTBEAT: &str = r"
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
for _, run in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])) do
  redis.call('HDEL', KEYS[1], run)
  redis.call('ZREM', KEYS[2], run)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], string.format('%.6f', now), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
";

/// Stores a sample unless its second has one, and removes old ones and those that are too far ahead.
const RECORD: &str = r"
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1] - ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. ARGV[1] + ARGV[5], '+inf')
if redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[4], '+inf')
";

/// The units of work that this store has added.
const ADDED: &str = "dockercoins:hashes";
/// Sorted set of samples by their second.
const SAMPLES: &str = "dockercoins:history";
/// List of the recent coins, newest first, each as hash and time.
const RECENT: &str = "dockercoins:coins";
/// Hash of the heartbeats by run.
const WORKERS: &str = "dockercoins:workers";
/// Sorted set of the runs by the time of their heartbeat, in seconds since the Unix epoch.
const SEEN: &str = "dockercoins:workers:seen";

/// The address of a Redis server. Displays host and port, never the password.
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let right = "right would be redis://redis:6379 or rediss://:password@host:6380/0";
        let info = url.into_connection_info().map_err(|_| format!("not a Redis URL; {right}"))?;
        if let Some(part) = ignored_part(url) {
            return Err(format!("{part} is not supported; {right}"));
        }
        let tcp = TcpSettings::default().set_nodelay(true);
        // Only Linux has TCP_USER_TIMEOUT. Elsewhere, a connection is replaced when a response times
        // out.
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(RESPONSE_TIMEOUT);
        Ok(Self(info.set_tcp_settings(tcp)))
    }
}

/// The part of a Redis URL that the client would silently ignore.
fn ignored_part(url: &str) -> Option<&'static str> {
    let url = ::redis::parse_redis_url(url)?;
    let keys: &[&str] = match url.scheme().ends_with("unix") {
        true => &["protocol", "db", "user", "pass"],
        false => &["protocol"],
    };
    let has_tls = matches!(url.scheme(), "rediss" | "valkeys");
    match url.query_pairs().find(|(key, _)| !keys.contains(&&**key)) {
        Some((key, _)) if key == "db" => Some("'?db=' (the path selects the database)"),
        // Not shown, because it may be a part of a password.
        Some(_) => Some("its query"),
        // With TLS, the client checks the fragment.
        None if !has_tls && url.fragment().is_some() => Some("'#'"),
        None if !url.username().is_empty() && url.password().is_none() => {
            Some("a user without a password")
        }
        None => None,
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.addr() {
            // The parsed URL has an IPv6 address without its brackets.
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }
                if host.contains(':') =>
            {
                write!(f, "[{host}]:{port}")
            }
            address => write!(f, "{address}"),
        }
    }
}

/// An error that Redis responded with.
#[derive(Debug)]
pub struct Refusal {
    /// The kind of the error, e.g. `NOAUTH`.
    pub code: String,
    text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Refusal {}

/// A connection to Redis, replaced whenever it fails.
pub struct Redis {
    pub(crate) url: RedisUrl,
    connection: Mutex<ConnectionManager>,
    /// The timeout of a response.
    timeout: Duration,
    pub(crate) latency: Latency,
}

impl Redis {
    pub(crate) fn new(url: RedisUrl, timeout: Duration, latency: Latency) -> Result<Self> {
        let connection = connect(&url, timeout).context("REDIS_URL")?.into();
        Ok(Self { url, connection, timeout, latency })
    }

    pub(crate) async fn add(&self, batch: &Batch) -> Result<Vec<String>> {
        let script = Script::new(ADD);
        let mut add = script.prepare_invoke();
        let flush = format!("dockercoins:flush:{}", batch.run);
        add.key(flush).key("hashes").key("wallet").key(RECENT).key(ADDED);
        add.arg(batch.sequence).arg(FLUSH_EXPIRY).arg(RECENT_COINS).arg(batch.hashes);
        for coin in &batch.coins {
            add.arg(&coin.hash).arg(&coin.bytes[..]);
        }
        self.call(Operation::Add, async |mut redis| add.invoke_async(&mut redis).await).await
    }

    pub(crate) async fn read(&self) -> Result<Snapshot> {
        let mut read = ::redis::pipe();
        read.cmd("TIME").hlen("wallet").get("hashes").get(ADDED);
        read.lrange(RECENT, 0, RECENT_COINS as isize - 1).zrange_withscores(SEEN, 0, -1);
        read.hgetall(WORKERS).ignore_errors();
        let replies: [RedisResult<Value>; 7] = self
            .call(Operation::Read, async |mut redis| read.query_async(&mut redis).await)
            .await?;
        snapshot(replies).map_err(|error| self.error(&error))
    }

    pub(crate) async fn record(
        &self,
        second: u64,
        sample: &str,
        after: u64,
    ) -> Result<Vec<String>> {
        let script = Script::new(RECORD);
        let mut call = script.key(SAMPLES);
        call.arg(second).arg(sample).arg(HISTORY.as_secs()).arg(after).arg(MAX_AHEAD);
        let samples: Vec<Vec<u8>> = self
            .call(Operation::Record, async |mut redis| call.invoke_async(&mut redis).await)
            .await?;
        Ok(samples.into_iter().map(into_text).collect())
    }

    pub(crate) async fn coin(&self, hash: &str) -> Result<Option<Vec<u8>>> {
        let coin = ::redis::Cmd::hget("wallet", hash);
        self.call(Operation::Coin, async |mut redis| coin.query_async(&mut redis).await).await
    }

    pub(crate) async fn heartbeat(&self, run: &str, heartbeat: &Heartbeat) -> Result<()> {
        let script = Script::new(HEARTBEAT);
        let mut call = script.key(WORKERS);
        call.key(SEEN).arg(run).arg(serde_json::to_string(heartbeat)?).arg(ALIVE.as_secs());
        self.call(Operation::Heartbeat, async |mut redis| call.invoke_async(&mut redis).await).await
    }

    pub(crate) async fn deregister(&self, run: &str) -> Result<()> {
        let mut remove = ::redis::pipe();
        remove.hdel(WORKERS, run).ignore().zrem(SEEN, run).ignore();
        self.call(Operation::Deregister, async |mut redis| remove.query_async(&mut redis).await)
            .await
    }

    /// Runs a command that may be repeated: once more if its connection turns out to be closed.
    async fn call<T, F: Future<Output = RedisResult<T>>>(
        &self,
        operation: Operation,
        command: impl Fn(ConnectionManager) -> F,
    ) -> Result<T> {
        let mut timer = Timer::start(&self.latency, operation);
        let attempt = async || {
            let connection = self.connection().clone();
            let result = command(connection).await;
            if result.is_err() {
                // The manager keeps a connection that failed to log in or no longer responds; a
                // new manager resolves the name, connects and logs in again.
                *self.connection() = connect(&self.url, self.timeout)?;
            }
            result
        };
        let mut result = attempt().await;
        if result.as_ref().is_err_and(RedisError::is_connection_dropped) {
            result = attempt().await;
        }
        timer.failed = result.is_err();
        result.map_err(|error| self.error(&error))
    }

    fn error(&self, error: &RedisError) -> anyhow::Error {
        // The text of the error already includes its cause.
        let text = format!("{}: {error}", self.url);
        match error.code() {
            Some(code) => Refusal { code: code.to_owned(), text }.into(),
            None => anyhow!(text),
        }
    }

    fn connection(&self) -> MutexGuard<'_, ConnectionManager> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Interprets the replies to a read.
fn snapshot(replies: [RedisResult<Value>; 7]) -> RedisResult<Snapshot> {
    let [time, coins, hashes, added, recent, seen, heartbeats] = replies;
    let (seconds, micros): (f64, f64) = from_redis_value(time?)?;
    let now = seconds + micros / 1e6;
    let mut problems = Vec::new();
    let coins = read_key(&mut problems, "wallet", "a hash", coins)?;
    let hashes: Option<Option<Vec<u8>>> = read_key(&mut problems, "hashes", "a string", hashes)?;
    let added: Option<Option<Vec<u8>>> = read_key(&mut problems, ADDED, "a string", added)?;
    let recent: Option<Vec<Vec<u8>>> = read_key(&mut problems, RECENT, "a list", recent)?;
    let seen: Option<HashMap<Vec<u8>, f64>> = read_key(&mut problems, SEEN, "a sorted set", seen)?;
    let heartbeats: Option<BTreeMap<Vec<u8>, Vec<u8>>> =
        read_key(&mut problems, WORKERS, "a hash", heartbeats)?;

    let is_known = seen.is_some() && heartbeats.is_some();
    let (seen, heartbeats) = (seen.unwrap_or_default(), heartbeats.unwrap_or_default());
    let recent = recent.unwrap_or_default();
    let worker = |(run, text): (Vec<u8>, Vec<u8>)| {
        // Without a time, the worker counts as gone.
        let at = seen.get(&run).copied().unwrap_or_default();
        let heartbeat = serde_json::from_slice(&text).ok()?;
        Some(WorkerStatus { run: String::from_utf8(run).ok()?, at, heartbeat })
    };
    let mut workers = parse_entries(&mut problems, WORKERS, heartbeats, worker);
    workers.retain(|worker| now - worker.at < ALIVE.as_secs_f64());
    let totals = Totals { coins, hashes: hashes.flatten().map(into_text) };
    let mut snapshot = Snapshot {
        now,
        totals,
        added: match added {
            Some(Some(added)) => into_text(added).parse().ok(),
            Some(None) => Some(0),
            None => None,
        },
        recent_coins: parse_entries(&mut problems, RECENT, recent, parse_recent_coin),
        workers: is_known.then_some(workers),
        problems,
    };
    if snapshot.hashes().is_none() {
        snapshot.problems.push("hashes is not a number".to_owned());
    }
    Ok(snapshot)
}

/// Parses the value of a key. None, and a problem is added, if the key has another type or must not
/// be read.
fn read_key<T: FromRedisValue>(
    problems: &mut Vec<String>,
    key: &str,
    kind: &str,
    reply: RedisResult<Value>,
) -> RedisResult<Option<T>> {
    match reply {
        Err(error) if error.code() == Some("WRONGTYPE") => {
            problems.push(format!("{key} is not {kind}"));
            Ok(None)
        }
        Err(error) if error.code() == Some("NOPERM") => {
            problems.push(format!("the user of REDIS_URL may not read {key}"));
            Ok(None)
        }
        reply => Ok(Some(from_redis_value(reply?)?)),
    }
}

/// Parses the entries of a key. Adds a problem if some are invalid.
fn parse_entries<T, U>(
    problems: &mut Vec<String>,
    key: &str,
    entries: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    parse: impl FnMut(T) -> Option<U>,
) -> Vec<U> {
    let entries = entries.into_iter();
    let count = entries.len();
    let parsed: Vec<_> = entries.filter_map(parse).collect();
    match count - parsed.len() {
        0 => {}
        1 => problems.push(format!("an entry of {key} is unreadable")),
        unreadable => problems.push(format!("{unreadable} entries of {key} are unreadable")),
    }
    parsed
}

/// Converts a value to text. Other programs may have written invalid UTF-8.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Parses "hash seconds".
fn parse_recent_coin(entry: Vec<u8>) -> Option<RecentCoin> {
    let entry = String::from_utf8(entry).ok()?;
    let (hash, at) = entry.split_once(' ')?;
    let at = at.parse().ok().filter(|at: &f64| at.is_finite())?;
    Some(RecentCoin { hash: hash.to_owned(), at })
}

/// Opens the connection at its first use and does not retry: the caller decides how long to wait.
fn connect(url: &RedisUrl, timeout: Duration) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(timeout));
    ConnectionManager::new_lazy_with_config(Client::open(url.0.clone())?, config)
}
