//! Raw HTTP over a socket, for tests that care about what is really sent.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// Everything after the headers.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A part of `Server-Timing`, in milliseconds.
    pub fn timing(&self, part: &str) -> f64 {
        let timing = self.header("server-timing").expect("a Server-Timing");
        let value = timing.split(", ").find_map(|entry| entry.strip_prefix(part));
        let value = value.and_then(|value| value.strip_prefix(";dur=")).expect("this part");
        value.parse().expect("a number")
    }
}

/// Sends `GET path` and returns the answer.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    let stream = ask(address, &format!("GET {path}"), b"").expect("a connection");
    answer(stream).unwrap_or_else(|error| panic!("GET {path} has no answer: {error}"))
}

/// Sends a request, such as `GET /32`, and does not wait for the answer.
pub fn ask(address: SocketAddr, method_and_path: &str, body: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let mut request = format!(
        "{method_and_path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request)?;
    Ok(stream)
}

/// Reads an answer up to the end of the connection. A body shorter than promised is an error.
pub fn answer(mut stream: TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let wrong = || io::Error::other(format!("no HTTP: {:?}", String::from_utf8_lossy(&bytes)));
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(wrong)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(wrong)?;
    let answer = Answer { status, head, body: bytes[end + 4..].to_vec() };
    match answer.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length != answer.body.len() => Err(wrong()),
        _ => Ok(answer),
    }
}
