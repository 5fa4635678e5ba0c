//! An HTTP/1.1 client that sends arbitrary bytes and returns exactly the bytes of the response.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long each read and each write may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a service.
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Sends `GET path` on a connection of its own, and reads until the service closes it.
    pub fn get(address: SocketAddr, path: &str) -> Response {
        let response = Self::start(address, &format!("GET {path}"), b"").and_then(Self::finish);
        response.unwrap_or_else(|error| panic!("GET {path} has no response: {error}"))
    }

    /// Sends a request without a body, with any method.
    pub fn request(address: SocketAddr, method: &str, path: &str) -> Response {
        let mut client = Self::connect(address);
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        // Only a response to HEAD has no body to read.
        if method == "HEAD" { client.head() } else { client.response() }
    }

    /// Sends a request, such as `GET /32`, on a new connection, and does not wait for the response.
    pub fn start(address: SocketAddr, method_and_path: &str, body: &[u8]) -> io::Result<Self> {
        let mut client = Self::try_connect(address)?;
        let length = body.len();
        let head = format!(
            "{method_and_path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        client.try_send([head.as_bytes(), body].concat())?;
        Ok(client)
    }

    /// Reads the response up to the end of the connection. A body shorter or longer than its
    /// `Content-Length` is an error.
    pub fn finish(mut self) -> io::Result<Response> {
        let mut response = self.try_head()?;
        self.0.read_to_end(&mut response.body)?;
        match response.content_length() {
            Some(length) if length != response.body.len() => {
                let received = response.body.len();
                Err(io::Error::other(format!("a body of {received} instead of {length} bytes")))
            }
            _ => Ok(response),
        }
    }

    /// Connects to a service. Panics if the connection is refused.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("a connection")
    }

    /// Connects to a service. Fails if the connection is refused.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The socket, for its options and its shutdown.
    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// The connection as a stream of bytes.
    pub fn into_reader(self) -> BufReader<TcpStream> {
        self.0
    }

    /// Sends bytes. Panics if the connection is closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("an open connection");
    }

    /// Sends bytes on a connection that may be closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Reads the status line and the headers.
    pub fn head(&mut self) -> Response {
        self.try_head().expect("the head of a response")
    }

    fn try_head(&mut self) -> io::Result<Response> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && self.0.read_until(b'\n', &mut head)? > 0 {}
        let head = String::from_utf8_lossy(&head);
        let invalid = || io::Error::other(format!("not the head of a response: {head:?}"));
        let lines = head.strip_suffix("\r\n\r\n").ok_or_else(invalid)?;
        let status = lines.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(invalid)?;
        Ok(Response { status, head: lines.to_owned(), body: Vec::new() })
    }

    /// Reads one response with a `Content-Length`, and leaves the connection open.
    pub fn response(&mut self) -> Response {
        self.try_response().expect("a whole response")
    }

    /// Reads one response with a `Content-Length`. A body that ends early is an error.
    pub fn try_response(&mut self) -> io::Result<Response> {
        let mut response = self.try_head()?;
        let no_length = || io::Error::other(format!("no length in {:?}", response.head));
        response.body = vec![0; response.content_length().ok_or_else(no_length)?];
        self.0.read_exact(&mut response.body)?;
        Ok(response)
    }

    /// Reads the available bytes; 0 means the end of the connection or an error.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.try_read(buffer).unwrap_or(0)
    }

    /// Reads the available bytes; 0 means that the connection was closed, and a reset is an error.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    /// Whether nothing can be read for `time`.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.socket().set_read_timeout(Some(time)).expect("a socket");
        let read = self.0.fill_buf().map(<[u8]>::len).map_err(|error| error.kind());
        self.socket().set_read_timeout(Some(TIMEOUT)).expect("a socket");
        matches!(read, Err(ErrorKind::WouldBlock))
    }

    /// Reads until the connection is closed or reset. Panics if it stays open.
    pub fn remainder(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("still open"),
            Ok(_) | Err(_) => bytes,
        }
    }
}

/// A response with the bytes as they were received.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// Everything after the headers.
    pub body: Vec<u8>,
}

impl Response {
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

    fn content_length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    /// An entry of `Server-Timing`, in milliseconds.
    pub fn timing(&self, entry: &str) -> f64 {
        let timing = self.header("server-timing").expect("a Server-Timing");
        let value = timing.split(", ").find_map(|other| other.strip_prefix(entry));
        let value = value.and_then(|value| value.strip_prefix(";dur=")).expect("this entry");
        value.parse().expect("a number")
    }
}
