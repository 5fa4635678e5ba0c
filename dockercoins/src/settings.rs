//! The settings of the application in one process.

use std::{
    env,
    num::NonZero,
    path::{Path, PathBuf},
};

use anyhow::Result;
use chassis::SettingError;
use store::{RedisUrl, Store};

/// The settings of the application.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Number of workers.
    #[arg(long, default_value = "1", value_parser = chassis::parse_count)]
    pub workers: NonZero<u16>,
    /// Number of rngs behind the name rng.
    #[arg(long, default_value = "1", value_parser = chassis::parse_count)]
    pub rngs: NonZero<u16>,
    /// No simulated delays, keep-alive connections, no access lines.
    #[arg(long)]
    pub fast: bool,
    /// Store the coins in this Redis instead of a file, such as redis://localhost:6379.
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub redis: Option<RedisUrl>,
    /// Store the coins in this file [default: dockercoins.redb in $XDG_DATA_HOME/dockercoins].
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Port of the page on loopback; 0 means any free port, here and below.
    #[arg(long, value_name = "PORT", default_value = "8000", value_parser = chassis::parse_port)]
    pub webui_port: u16,
    /// Port of the first rng on loopback.
    #[arg(long, value_name = "PORT", default_value = "8001", value_parser = chassis::parse_port)]
    pub rng_port: u16,
    /// Port of hasher on loopback.
    #[arg(long, value_name = "PORT", default_value = "8002", value_parser = chassis::parse_port)]
    pub hasher_port: u16,
    /// Port of the admin endpoints on loopback.
    #[arg(long, value_name = "PORT", default_value = "9000", value_parser = chassis::parse_port)]
    pub admin_port: u16,
    /// The settings of webui.
    #[command(flatten)]
    pub webui: webui::Settings,
}

impl Settings {
    pub(crate) fn store(&self) -> Result<Store> {
        if let Some(url) = &self.redis {
            return Store::redis(url);
        }
        let path = match &self.data {
            Some(path) => path.clone(),
            None => default_file()?,
        };
        let unusable = |error| {
            SettingError::new(format!(
                "--data: {error:#}; free it or choose another, such as --data=/tmp/coins.redb"
            ))
        };
        Ok(Store::file(&path).map_err(unusable)?)
    }
}

/// Source: <https://specifications.freedesktop.org/basedir-spec/latest/>.
fn default_file() -> Result<PathBuf, SettingError> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    let file = Path::new("dockercoins").join("dockercoins.redb");
    data.map(|data| data.join(file)).ok_or_else(|| {
        SettingError::new("--data: there is no home folder; right would be --data=/tmp/coins.redb")
    })
}
