//! A client that says exactly what it is told.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::http::Answer;

/// A connection on which anything can be said.
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects to a service.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("a connection")
    }

    /// Connects to a service that may not be there.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The socket, for what a client does besides talking.
    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// Sends bytes to somebody who takes them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("a peer that listens");
    }

    /// Sends bytes to somebody who may have hung up.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Reads the status line and the headers.
    pub fn head(&mut self) -> Answer {
        self.try_head().expect("an answer in time")
    }

    fn try_head(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::Error::other(format!("the connection ended after {head:?}")));
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status in {head:?}")))?;
        Ok(Answer { status, head: head.trim_end().to_owned(), body: Vec::new() })
    }

    /// Reads one answer, whose length its header tells, and leaves the connection open.
    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("a whole answer")
    }

    /// Reads one answer, whose length its header tells, if it comes whole and in time.
    pub fn try_answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.try_head()?;
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let length =
            length.ok_or_else(|| io::Error::other(format!("no length in {:?}", answer.head)))?;
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    /// Reads what there is; 0 is the end of the connection.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.try_read(buffer).unwrap_or(0)
    }

    /// Reads what there is; 0 is its end in order, and a reset is an error.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    /// Whether there is nothing to read for `time`.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        let before = self.socket().read_timeout().expect("a socket");
        self.socket().set_read_timeout(Some(time)).expect("a socket");
        let read = self.0.fill_buf().map(<[u8]>::len).map_err(|error| error.kind());
        self.socket().set_read_timeout(before).expect("a socket");
        matches!(read, Err(ErrorKind::WouldBlock))
    }

    /// Reads until the service closes the connection, one way or the other. Panics if it does not.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("still open"),
            Ok(_) | Err(_) => bytes,
        }
    }
}

/// Asks with any method; only HEAD has no body to read.
pub fn request(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    if method == "HEAD" { client.head() } else { client.answer() }
}
