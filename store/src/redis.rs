//! The store on Redis: a counter `hashes`, a hash `wallet`, the last batch of each worker, the newest
//! coins, and what the workers say of themselves.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ::redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, Script, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    from_redis_value,
    io::tcp::TcpSettings,
};
use anyhow::{Context, Result, anyhow};
use prometheus_client::registry::Registry;

use crate::{ALIVE, Batch, Find, RECENT, Sighting, Snapshot, Totals, Worker, latency::Latency};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the number of a worker's last batch is remembered, in seconds: a week, longer than
/// redis is likely to be away between a batch and its repetition.
const REMEMBER: u64 = 7 * 24 * 3600;

/// Adds a batch unless the number of the run's last one says that it has been added; a batch that
/// was overtaken by its own repetition may come later still. Whatever can fail, such as a key of
/// another type, fails before the first write has succeeded: redis undoes nothing.
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
redis.call('LTRIM', KEYS[4], 0, ARGV[3] - 1)
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return known
";

/// Shows a worker, and forgets those that have long said nothing.
const ANNOUNCE: &str = r"
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

/// The newest coins: hash and time, the newest first.
const FINDS: &str = "dockercoins:coins";
/// What each worker says, by its run.
const WORKERS: &str = "dockercoins:workers";
/// When each worker said it, in seconds since the Unix epoch.
const SEEN: &str = "dockercoins:workers:seen";

/// Where Redis is. Shows host and port, never the password.
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let info = url.into_connection_info().map_err(|_| {
            "not a Redis URL; right would be redis://redis:6379 or rediss://:password@host:6380/0"
                .to_owned()
        })?;
        let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(RESPONSE_TIMEOUT);
        Ok(Self(info.set_tcp_settings(tcp)))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                // An IPv6 address comes without its brackets.
                if host.contains(':') {
                    write!(f, "[{host}]:{port}")
                } else {
                    write!(f, "{host}:{port}")
                }
            }
            other => write!(f, "{other}"),
        }
    }
}

/// One connection to Redis, made again whenever it fails.
pub struct Redis {
    client: Client,
    connection: Mutex<ConnectionManager>,
    add: Script,
    announce: Script,
    /// How long an answer may take.
    patience: Duration,
    /// Host and port, for errors.
    name: String,
    latency: Latency,
}

impl Redis {
    pub(crate) fn new(url: &RedisUrl) -> Result<Self> {
        Self::measured(url, Latency::new())
    }

    /// Another redis, whose latency is registered with this one's.
    pub(crate) fn other(&self, url: &RedisUrl) -> Result<Self> {
        Self::measured(url, self.latency.clone())
    }

    fn measured(url: &RedisUrl, latency: Latency) -> Result<Self> {
        let client = Client::open(url.0.clone()).context("REDIS_URL")?;
        Self::with(client, RESPONSE_TIMEOUT, url.to_string(), latency)
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        self.latency.register(registry);
    }

    /// A connection of its own, on which answers may take this long.
    pub(crate) fn answering_within(&self, patience: Duration) -> Result<Self> {
        Self::with(self.client.clone(), patience, self.name.clone(), self.latency.clone())
    }

    fn with(client: Client, patience: Duration, name: String, latency: Latency) -> Result<Self> {
        Ok(Self {
            connection: Mutex::new(manager(&client, patience)?),
            client,
            add: Script::new(ADD),
            announce: Script::new(ANNOUNCE),
            patience,
            name,
            latency,
        })
    }

    pub(crate) async fn add(&self, batch: &Batch) -> Result<Vec<String>> {
        let mut call = self.add.prepare_invoke();
        call.key(format!("dockercoins:flush:{}", batch.run)).key("hashes").key("wallet").key(FINDS);
        call.arg(batch.sequence).arg(REMEMBER).arg(RECENT).arg(batch.hashes);
        for coin in &batch.coins {
            call.arg(&coin.hash).arg(&coin.bytes[..]);
        }
        self.call("add", async |mut connection| call.invoke_async(&mut connection).await).await
    }

    pub(crate) async fn read(&self, hashes: &[String]) -> Result<Snapshot> {
        let mut read = ::redis::pipe();
        read.hlen("wallet").get("hashes").lrange(FINDS, 0, -1);
        read.cmd("TIME").zrange_withscores(SEEN, 0, -1).hgetall(WORKERS);
        for hash in hashes {
            read.hget("wallet", hash);
        }
        let answers: Vec<Value> = self
            .call("read", async |mut connection| read.query_async(&mut connection).await)
            .await?;
        snapshot(answers).with_context(|| self.name.clone())
    }

    pub(crate) async fn announce(&self, run: &str, worker: &Worker) -> Result<()> {
        let mut call = self.announce.prepare_invoke();
        call.key(WORKERS).key(SEEN).arg(run).arg(serde_json::to_string(worker)?);
        call.arg(ALIVE.as_secs());
        self.call("announce", async |mut connection| call.invoke_async(&mut connection).await).await
    }

    pub(crate) async fn leave(&self, run: &str) -> Result<()> {
        let mut leave = ::redis::pipe();
        leave.hdel(WORKERS, run).ignore().zrem(SEEN, run).ignore();
        self.call("leave", async |mut connection| leave.query_async(&mut connection).await).await
    }
}

/// The answers to a read, in the order of its commands.
fn snapshot(answers: Vec<Value>) -> Result<Snapshot> {
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or(Value::Nil);
    let coins = from_redis_value(next())?;
    let hashes = from_redis_value(next())?;
    let finds: Vec<String> = from_redis_value(next())?;
    let (seconds, microseconds): (f64, f64) = from_redis_value(next())?;
    let now = seconds + microseconds / 1e6;
    let seen: Vec<(String, f64)> = from_redis_value(next())?;
    let said: HashMap<String, String> = from_redis_value(next())?;

    // Somebody else's worker may say something that nobody here understands.
    let sighting = |(run, at): (String, f64)| {
        let worker = serde_json::from_str(said.get(&run)?).ok()?;
        Some(Sighting { run, at, worker })
    };
    let alive = |(_, at): &(String, f64)| now - at < ALIVE.as_secs_f64();
    let mut workers: Vec<_> = seen.into_iter().filter(alive).filter_map(sighting).collect();
    workers.sort_by(|a, b| a.run.cmp(&b.run));
    Ok(Snapshot {
        now,
        totals: Totals { coins, hashes },
        finds: finds.iter().filter_map(|find| parse_find(find)).collect(),
        workers,
        asked: answers.map(from_redis_value).collect::<Result<_, _>>()?,
    })
}

fn parse_find(find: &str) -> Option<Find> {
    let (hash, at) = find.split_once(' ')?;
    Some(Find { hash: hash.to_owned(), at: at.parse().ok()? })
}

impl Redis {
    /// Runs a command that may be repeated. A connection that broke since its last use, or under
    /// this command, is replaced and the command sent once more.
    async fn call<T, F>(
        &self,
        operation: &'static str,
        command: impl Fn(ConnectionManager) -> F,
    ) -> Result<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut observation = self.latency.observe(operation);
        let mut result = self.attempt(&command).await;
        if result.as_ref().is_err_and(|error| error.is_connection_dropped()) {
            result = self.attempt(&command).await;
        }
        observation.failed = result.is_err();
        // The error's own text already has its cause.
        result.map_err(|error| anyhow!("{}: {error}", self.name))
    }

    async fn attempt<T, F>(&self, command: impl Fn(ConnectionManager) -> F) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = command(connection).await;
        if result.is_err() {
            // The manager keeps a connection that failed to log in or no longer answers; a new
            // manager resolves the name, connects and logs in afresh.
            let fresh = manager(&self.client, self.patience)?;
            *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        result
    }
}

/// A connection made at first use, without retries: callers know better how long to wait.
fn manager(client: &Client, patience: Duration) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(patience));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}
