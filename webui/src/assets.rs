//! The files of the page: those in a folder replace those in the binary.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use askama::filters::{Html, escape};
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::SettingError;
use sha2::{Digest, Sha256};
use tower_http::services::ServeDir;
use tracing::warn;

use crate::content;

/// The folder in the container image, where a volume can be mounted.
const DEFAULT_FOLDER: &str = "/files";

const INDEX: &str = include_str!("../files/index.html");
const SCRIPT: &str = include_str!("../files/dashboard.js");
const ICON: &str = include_str!("../files/favicon.svg");

/// The text in index.html that the dashboard replaces.
const MARKER: &str = "<!-- dashboard -->";
/// The text in index.html that problems with mounted files replace.
const PROBLEM_MARKER: &str = "<!-- problem -->";

/// The Content-Security-Policy of the built-in page: our own files, and its one inline style.
static STRICT: LazyLock<String> = LazyLock::new(|| {
    // Browsers normalise line ends to \n before they hash.
    let index = INDEX.replace("\r\n", "\n");
    let style = index.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
    let hash = BASE64_STANDARD.encode(Sha256::digest(style.map_or("", |(style, _)| style)));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{hash}'; \
         img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
});

/// The policy of a mounted page, whose author may use inline styles, scripts and other hosts. All
/// texts from redis are escaped.
const LENIENT: &str = "default-src * data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; \
                       base-uri 'none'";

/// The folder with the files of the page.
#[derive(Clone)]
pub(crate) struct Assets {
    folder: PathBuf,
    service: ServeDir<Router>,
}

impl Assets {
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
        let folder = folder.unwrap_or(Path::new(DEFAULT_FOLDER)).to_owned();
        let embedded = |content_type, text: &'static str| {
            get(async move |headers: HeaderMap| {
                content::respond(&headers, content_type, text.into())
            })
        };
        let embedded = Router::new()
            .route("/dashboard.js", embedded("text/javascript", SCRIPT))
            .route("/favicon.svg", embedded("image/svg+xml", ICON));
        let service =
            ServeDir::new(&folder).append_index_html_on_directories(false).fallback(embedded);
        Ok(Self { folder, service })
    }

    /// The page with the dashboard in it, and its policy. A file without the marker stays unchanged.
    pub(crate) async fn page(&self, dashboard: &str) -> (&'static str, String) {
        let mut problems = String::new();
        let mounted = tokio::fs::read_to_string(self.folder.join("index.html")).await;
        let mounted = self.usable("index.html", mounted, &mut problems);
        // The others may contain any bytes.
        for name in ["dashboard.js", "favicon.svg"] {
            let bytes = tokio::fs::read(self.folder.join(name)).await;
            self.usable(name, bytes, &mut problems);
        }
        let policy = if mounted.is_some() { LENIENT } else { STRICT.as_str() };
        let index = mounted.unwrap_or_else(|| INDEX.to_owned());
        let index = index.replacen(PROBLEM_MARKER, &problems, 1);
        (policy, index.replacen(MARKER, dashboard, 1))
    }

    /// The content of a file, if it exists. Logs why it cannot be used, and adds a notice.
    fn usable<T>(&self, name: &str, read: io::Result<T>, problems: &mut String) -> Option<T> {
        let error = match read {
            Ok(content) => return Some(content),
            Err(error) if is_missing(&error) => return None,
            Err(error) => error,
        };
        let problem = format!("{} is not used: {error}", self.folder.join(name).display());
        warn!("{problem}; using the built-in file");
        *problems += &notice(&problem);
        None
    }

    /// Serves all other files, read on each request so that a change shows on reload; none if there
    /// is no such file.
    pub(crate) async fn serve(mut self, request: Request) -> Option<Response> {
        let path = request.uri().path().to_owned();
        match self.service.try_call(request).await {
            Ok(response) => {
                let missing = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
                (!missing.contains(&response.status())).then(|| response.into_response())
            }
            Err(error) => {
                // For example a name that is too long for a file.
                if !matches!(error.kind(), ErrorKind::InvalidFilename) {
                    warn!("{path} cannot be read in {}: {error}", self.folder.display());
                }
                None
            }
        }
    }
}

/// Whether the file or its folder does not exist.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn notice(problem: &str) -> String {
    let text = escape(problem, Html).map(|text| text.to_string()).unwrap_or_default();
    format!("<p class=\"notice\"><strong>{text}.</strong> The built-in file is used.</p>")
}
