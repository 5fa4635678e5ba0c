//! Faults on demand, for lessons on probes, alerts and canaries. All are off by default.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{RawQuery, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use bytesize::ByteSize;
use clap::Args;
use tracing::warn;

use crate::parse::{parse_percentage, parse_size, parse_switch};

/// The settings of the faults.
#[derive(Args, Clone, Default)]
#[group(skip)]
pub struct FaultSettings {
    /// Share of the requests that get status 500, in percent.
    #[arg(long, env, default_value = "0%", value_parser = parse_percentage)]
    pub fault_errors: u8,
    /// Report not ready on /readyz.
    #[arg(long, env, default_value = "off", value_parser = parse_switch,
          action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "on")]
    pub fault_not_ready: bool,
    /// Memory that each request leaks, at most 1 GiB.
    #[arg(long, env, default_value = "0", value_parser = parse_leak)]
    pub fault_leak: ByteSize,
    /// Serve /faults on the admin port: GET shows the faults; POST with a query such as
    /// `errors=20&not_ready=on&leak=1MiB` changes them.
    #[arg(long, env, default_value = "off", value_parser = parse_switch,
          action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "on")]
    pub fault_endpoint: bool,
}

/// The faults of one service; clones share them.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Current>>);

#[derive(Default)]
struct Current {
    settings: FaultSettings,
    /// Percentages summed up over the requests since the last error.
    due: u8,
    leaked: Vec<Box<[u8]>>,
}

impl Faults {
    /// The faults at the start of a service. Logs them if there are any.
    pub fn new(settings: &FaultSettings) -> Self {
        let current = Current { settings: settings.clone(), ..Current::default() };
        if settings.is_any() {
            warn!("faults on demand: {current}");
        }
        Self(Arc::new(Mutex::new(current)))
    }

    /// The router with the faults in front, if there are any or the endpoint can add some.
    pub(crate) fn add_to(self, router: Router) -> Router {
        match self.current().settings.is_any() || self.has_endpoint() {
            true => router.layer(middleware::from_fn_with_state(self, inject)),
            false => router,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.current().settings.fault_not_ready
    }

    /// The route of the admin port, if the settings allow it.
    pub(crate) fn endpoint(self) -> Router {
        match self.has_endpoint() {
            true => Router::new().route("/faults", get(show).post(change)).with_state(self),
            false => Router::new(),
        }
    }

    fn has_endpoint(&self) -> bool {
        self.current().settings.fault_endpoint
    }

    fn leak(&self) {
        let bytes = self.current().settings.fault_leak.as_u64() as usize;
        if bytes > 0 {
            // Not zero, because the kernel provides zeroed memory only when it is used.
            let leaked = vec![1; bytes].into();
            self.current().leaked.push(leaked);
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultSettings {
    fn is_any(&self) -> bool {
        self.fault_errors > 0 || self.fault_not_ready || self.fault_leak > ByteSize(0)
    }

    /// Changes the faults that a query such as `errors=20&not_ready=on` names.
    fn update(&mut self, query: &str) -> Result<(), String> {
        let right = "right would be errors=20, not_ready=on or leak=1MiB";
        if query.is_empty() {
            return Err(format!("the query names no fault; {right}"));
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "errors" => self.fault_errors = parse_percentage(&value)?,
                "not_ready" => self.fault_not_ready = parse_switch(&value)?,
                "leak" => self.fault_leak = parse_leak(&value)?,
                _ => return Err(format!("there is no fault '{name}'; {right}")),
            }
        }
        Ok(())
    }
}

fn parse_leak(value: &str) -> Result<ByteSize, String> {
    let size = parse_size(value)?;
    match size <= ByteSize::gib(1) {
        true => Ok(size),
        false => Err(format!("'{value}' is more than 1GiB; right would be 1MiB")),
    }
}

impl Current {
    /// Whether this request gets an error: with 20 %, every fifth.
    fn next_is_error(&mut self) -> bool {
        self.due += self.settings.fault_errors;
        let is_error = self.due >= 100;
        self.due %= 100;
        is_error
    }
}

impl fmt::Display for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FaultSettings { fault_errors, fault_not_ready, fault_leak, .. } = &self.settings;
        let not_ready = if *fault_not_ready { "on" } else { "off" };
        write!(f, "errors={fault_errors}% not_ready={not_ready} leak={fault_leak}")
    }
}

/// Answers with an error if it is due, instead of the service.
async fn inject(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    faults.leak();
    let is_error = faults.current().next_is_error();
    match is_error {
        true => (StatusCode::INTERNAL_SERVER_ERROR, "This is a fault on demand.\n").into_response(),
        false => next.run(request).await,
    }
}

async fn show(State(faults): State<Faults>) -> String {
    format!("{}\n", faults.current())
}

async fn change(State(faults): State<Faults>, RawQuery(query): RawQuery) -> Response {
    let mut current = faults.current();
    let mut settings = current.settings.clone();
    if let Err(error) = settings.update(&query.unwrap_or_default()) {
        return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response();
    }
    current.settings = settings;
    if current.settings.fault_leak == ByteSize(0) {
        current.leaked.clear();
    }
    warn!("faults on demand: {current}");
    format!("{current}\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(query: &str) -> Result<FaultSettings, String> {
        let mut settings = FaultSettings::default();
        settings.update(query).map(|()| settings)
    }

    #[test]
    fn the_share_of_errors_is_exact() {
        for (percentage, errors) in [(0, 0), (1, 10), (20, 200), (33, 330), (100, 1000)] {
            let mut current = Current::default();
            current.settings.fault_errors = percentage;
            assert_eq!((0..1000).filter(|_| current.next_is_error()).count(), errors);
        }
    }

    #[test]
    fn a_query_changes_only_the_faults_that_it_names() {
        let changed = settings("errors=20%25&leak=1MiB").unwrap();
        let changed = Current { settings: changed, ..Current::default() };
        assert_eq!(changed.to_string(), "errors=20% not_ready=off leak=1.0 MiB");
        assert!(settings("not_ready=on").unwrap().fault_not_ready);
    }

    #[test]
    fn an_invalid_query_is_refused_with_a_valid_example() {
        for query in [
            "",
            "errors",
            "errors=101",
            "errors=-1",
            "not_ready=maybe",
            "leak=much",
            "leak=1025MiB",
            "leak=16EiB",
            "delay=1s",
        ] {
            let error = settings(query).map(|_| ()).unwrap_err();
            assert!(error.contains("right would be"), "{error}");
        }
    }

    #[test]
    fn each_request_leaks_until_the_fault_ends() {
        let faults = Faults::default();
        faults.leak();
        assert!(faults.current().leaked.is_empty());
        faults.current().settings.fault_leak = ByteSize(1000);
        faults.leak();
        faults.leak();
        assert_eq!(faults.current().leaked.iter().map(|bytes| bytes.len()).sum::<usize>(), 2000);
    }
}
