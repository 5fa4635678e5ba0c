//! The files of the page: those in a folder replace those in the binary.

use std::path::{Path, PathBuf};

use axum::{Router, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use chassis::SettingError;
use tower_http::services::ServeDir;

/// The folder of the images, where a volume can be mounted.
const DEFAULT_FOLDER: &str = "/files";

const INDEX: &str = include_str!("../files/index.html");
const SCRIPT: &str = include_str!("../files/dashboard.js");
const ICON: &str = include_str!("../files/favicon.svg");

/// The folder with the files of the page.
#[derive(Clone)]
pub(crate) struct Files(PathBuf);

impl Files {
    /// Uses the given folder, which must be readable, or the default one, which may be missing.
    pub(crate) fn new(folder: Option<&Path>) -> Result<Self, SettingError> {
        if let Some(folder) = folder {
            std::fs::read_dir(folder).map_err(|error| {
                SettingError::new(format!(
                    "FILES: the folder {} cannot be read: {error}; right would be a folder with an \
                     index.html, such as FILES=./webui/files",
                    folder.display()
                ))
            })?;
        }
        Ok(Self(folder.unwrap_or(Path::new(DEFAULT_FOLDER)).to_owned()))
    }

    /// Reads index.html, which still has its marker.
    pub(crate) async fn index(&self) -> String {
        let file = tokio::fs::read_to_string(self.0.join("index.html")).await;
        file.unwrap_or_else(|_| INDEX.to_owned())
    }

    /// Serves all other files, read on each request so that a change shows on reload.
    pub(crate) fn service(&self) -> ServeDir<Router> {
        let embedded = |content_type, text| {
            get(async move || ([(CONTENT_TYPE, content_type)], text).into_response())
        };
        let embedded = Router::new()
            .route("/dashboard.js", embedded("text/javascript", SCRIPT))
            .route("/favicon.svg", embedded("image/svg+xml", ICON));
        ServeDir::new(&self.0).append_index_html_on_directories(false).fallback(embedded)
    }
}
