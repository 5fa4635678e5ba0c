//! The store on Redis: a counter `hashes`, a hash `wallet`, and the last batch of each worker.

use std::{
    fmt,
    future::Future,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ::redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use anyhow::{Context, Result, anyhow};

use crate::{Batch, Totals};

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
redis.call('INCRBY', KEYS[2], ARGV[3])
local known = {}
for i = 4, #ARGV, 2 do
  if redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) == 0 then known[#known + 1] = ARGV[i] end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return known
";

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
                write!(f, "{host}:{port}")
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
    /// How long an answer may take.
    patience: Duration,
    /// Host and port, for errors.
    name: String,
}

impl Redis {
    pub(crate) fn new(url: &RedisUrl) -> Result<Self> {
        let client = Client::open(url.0.clone()).context("REDIS_URL")?;
        Self::with(client, RESPONSE_TIMEOUT, url.to_string())
    }

    /// A connection of its own, on which answers may take this long.
    pub(crate) fn answering_within(&self, patience: Duration) -> Result<Self> {
        Self::with(self.client.clone(), patience, self.name.clone())
    }

    fn with(client: Client, patience: Duration, name: String) -> Result<Self> {
        Ok(Self {
            connection: Mutex::new(manager(&client, patience)?),
            client,
            add: Script::new(ADD),
            patience,
            name,
        })
    }

    pub(crate) async fn add(&self, batch: &Batch) -> Result<Vec<String>> {
        let mut call = self.add.prepare_invoke();
        call.key(format!("dockercoins:flush:{}", batch.run)).key("hashes").key("wallet");
        call.arg(batch.sequence).arg(REMEMBER).arg(batch.hashes);
        for coin in &batch.coins {
            call.arg(&coin.hash).arg(&coin.bytes[..]);
        }
        self.call(async |mut connection| call.invoke_async(&mut connection).await).await
    }

    pub(crate) async fn totals(&self) -> Result<Totals> {
        let mut read = ::redis::pipe();
        read.hlen("wallet").get("hashes");
        let (coins, hashes) =
            self.call(async |mut connection| read.query_async(&mut connection).await).await?;
        Ok(Totals { coins, hashes })
    }
}

impl Redis {
    /// Runs a command that may be repeated. A connection that broke since its last use, or under
    /// this command, is replaced and the command sent once more.
    async fn call<T, F>(&self, command: impl Fn(ConnectionManager) -> F) -> Result<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut result = self.attempt(&command).await;
        if result.as_ref().is_err_and(|error| error.is_connection_dropped()) {
            result = self.attempt(&command).await;
        }
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
