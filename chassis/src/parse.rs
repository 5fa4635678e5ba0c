//! How settings are parsed, with one-line errors.

use std::{error::Error, ffi::OsString, fmt, net::SocketAddr, num::NonZero, time::Duration};

pub use bytesize::ByteSize;
use clap::{
    Args, Parser,
    error::{ContextKind, ErrorKind},
};

/// The longest time that a setting may have, far below what clocks can represent.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// An invalid setting; the process exits with 2.
#[derive(Debug)]
pub struct SettingError(String);

impl SettingError {
    /// An error that names the setting, what is wrong, and a valid value.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for SettingError {}

/// Parses arguments and environment variables. Trims the variables and ignores empty ones. Prints
/// help and version itself. Fails with one line that names the setting.
pub fn parse<S: Parser>(
    command: clap::Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<S, SettingError> {
    let command = command.mut_args(|arg| {
        let Some(value) = arg.get_env().and_then(std::env::var_os) else { return arg };
        match value.to_str().map(str::trim) {
            Some("") => arg.env(None),
            // clap cannot trim a variable, so the trimmed value becomes a hidden default.
            Some(trimmed) if trimmed.len() < value.len() => {
                arg.env(None).default_value(trimmed.to_owned()).hide_default_value(true)
            }
            _ => arg,
        }
    });
    let matches = command.try_get_matches_from(args);
    let parsed = matches.and_then(|mut matches| S::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| {
        match (error.kind(), error.get(ContextKind::InvalidArg), error.source()) {
            (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, ..) => error.exit(),
            // The parsers of the settings explain the error, and omit a value that may hold a
            // password.
            (ErrorKind::ValueValidation, Some(setting), Some(reason)) => {
                SettingError(format!("{setting}: {reason}"))
            }
            _ => SettingError(first_paragraph(&error.to_string())),
        }
    })
}

/// The default settings, whatever the environment holds.
pub fn defaults<S: Args>() -> S {
    let command = S::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None));
    let matches = command.try_get_matches_from(["defaults"]);
    let settings = matches.and_then(|matches| S::from_arg_matches(&matches));
    settings.unwrap_or_else(|error| error.exit())
}

/// clap's message on one line, without its hints and without URLs, which may hold a password.
fn first_paragraph(message: &str) -> String {
    let lines = message.lines().take_while(|line| !line.is_empty());
    let words = lines.flat_map(str::split_whitespace);
    let words = words.map(|word| if word.contains("://") { "***" } else { word });
    words.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
}

/// Parses a duration of at most a year.
pub fn parse_duration(value: &str) -> Result<Duration, String> {
    let example = "100ms, 2s or 1m30s";
    // humantime would read months.
    let mut units = value.split(|character: char| !character.is_alphabetic());
    if units.any(|unit| unit == "M") {
        let ambiguous = format!("'{value}' is ambiguous: M may mean minutes or months");
        return Err(format!("{ambiguous}; right would be {example}"));
    }
    let duration = humantime::parse_duration(value).ok();
    duration
        .filter(|&duration| duration <= YEAR)
        .ok_or_else(|| invalid_value(value, "a duration of at most 365d", example))
}

/// Parses a number of bytes.
pub fn parse_size(value: &str) -> Result<ByteSize, String> {
    value.parse().map_err(|_| invalid_value(value, "a size", "500, 64KiB or 100MiB"))
}

/// Parses a number from 1 to 65535.
pub fn parse_count(value: &str) -> Result<NonZero<u16>, String> {
    value.parse().map_err(|_| invalid_value(value, "a number from 1 to 65535", "1 or 10"))
}

/// Parses a port; 0 stands for any free one.
pub fn parse_port(value: &str) -> Result<u16, String> {
    value.parse().map_err(|_| invalid_value(value, "a port", "8000, or 0 for any free one"))
}

/// Parses an address with a port.
pub(crate) fn parse_address(value: &str) -> Result<SocketAddr, String> {
    value
        .parse()
        .map_err(|_| invalid_value(value, "an address and port", "[::]:8080 or 127.0.0.1:8080"))
}

/// Parses a percentage, with or without the sign.
pub(crate) fn parse_percentage(value: &str) -> Result<u8, String> {
    let number = value.strip_suffix('%').unwrap_or(value).parse().ok();
    number
        .filter(|&number| number <= 100)
        .ok_or_else(|| invalid_value(value, "a percentage from 0% to 100%", "20%"))
}

/// Parses a switch.
pub(crate) fn parse_switch(value: &str) -> Result<bool, String> {
    match value.to_lowercase().as_str() {
        "on" | "yes" | "true" | "y" | "1" => Ok(true),
        "off" | "no" | "false" | "n" | "0" => Ok(false),
        _ => Err(invalid_value(value, "on or off", "on")),
    }
}

/// The text with escaped control characters, such as line feeds.
pub(crate) fn one_line(text: &str) -> String {
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escape).collect()
}

/// The error text for an invalid value: what is expected, and a valid example.
pub fn invalid_value(value: &str, expected: &str, example: &str) -> String {
    format!("'{value}' is not {expected}; right would be {example}")
}
