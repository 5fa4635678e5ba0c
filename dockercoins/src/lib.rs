//! The whole of DockerCoins in one process. Its parts still speak HTTP to each other on loopback,
//! as they do in containers.

mod app;
mod settings;
mod summary;

pub use crate::{app::App, settings::Settings, summary::Summary};
