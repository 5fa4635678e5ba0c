//! The whole of DockerCoins in one process. Its parts still use HTTP on loopback, as in containers.

mod app;
mod settings;
mod summary;

pub use crate::{app::App, settings::Settings, summary::Summary};
