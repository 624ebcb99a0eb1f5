//! A file server for tests, demos and benchmarks: what wasm-bindgen's test runner uses of the crate `rouille`, under its name and with its interface, with one difference: **each connection has a thread
//! of its own, and is closed after one answer**.
//!
//! The original shares some threads among its connections (by `tiny_http`). Of two connections that come at once the second may be queued for a thread
//! that has been called for the first and does not count as busy yet; then it waits for as long as the browser keeps the first one open. Pages
//! that start several workers have many connections at once, and now and then one of the workers never got its script: "not up within 60 s, reached:
//! created". `[patch.crates-io]` in the workspace's manifest puts this in the original's place.

use std::borrow::Cow;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

pub use url;

/// Longest head of a request.
const LONGEST: usize = 64 << 10;

/// What a browser asks.
#[derive(Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    data: Vec<u8>,
}

impl Request {
    /// One that nobody has sent.
    pub fn fake_http(
        method: impl Into<String>,
        url: impl Into<String>,
        headers: Vec<(String, String)>,
        data: Vec<u8>,
    ) -> Request {
        Request { method: method.into(), url: url.into(), headers, data }
    }

    /// `GET`, for example.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, without a query; as it was sent, for the runner's files have plain names.
    pub fn url(&self) -> String {
        self.url.split(['?', '#']).next().unwrap_or_default().to_owned()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The body.
    pub fn data(&self) -> Option<&[u8]> {
        Some(&self.data)
    }

    /// Reads one. `None` if the other side has gone, or sends no HTTP.
    fn read(stream: &mut TcpStream) -> io::Result<Option<Request>> {
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        let (mut request, start) = loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut headers);
            match request.parse(&bytes) {
                Ok(httparse::Status::Complete(start)) => {
                    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
                    let headers = request.headers.iter().map(|header| (header.name.to_owned(), text(header.value)));
                    let (method, url) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
                    break (Request::fake_http(method, url, headers.collect(), Vec::new()), start);
                }
                Ok(httparse::Status::Partial) if bytes.len() < LONGEST => {}
                _ => return Ok(None),
            }
            match stream.read(&mut piece)? {
                0 => return Ok(None),
                length => bytes.extend_from_slice(&piece[..length]),
            }
        };
        let length = request.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
        request.data = bytes.split_off(start);
        let missing = length.saturating_sub(request.data.len()) as u64;
        stream.take(missing).read_to_end(&mut request.data)?;
        Ok(Some(request))
    }
}

/// What a browser is answered.
#[derive(Debug)]
pub struct Response {
    /// 200 if all is well.
    pub status_code: u16,
    /// Beside the length.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    data: Vec<u8>,
}

impl Response {
    /// These bytes, of this type.
    pub fn from_data(mime: impl Into<Cow<'static, str>>, data: impl Into<Vec<u8>>) -> Response {
        Response { status_code: 200, headers: vec![("Content-Type".into(), mime.into())], data: data.into() }
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Response {
        Response::from_data("text/plain; charset=utf-8", text.into())
    }

    /// Nothing to say.
    pub fn empty_204() -> Response {
        Response::empty(204)
    }

    /// Not understood.
    pub fn empty_400() -> Response {
        Response::empty(400)
    }

    fn empty(status_code: u16) -> Response {
        Response { status_code, headers: Vec::new(), data: Vec::new() }
    }

    /// Whether it is no error.
    pub fn is_success(&self) -> bool {
        (200..400).contains(&self.status_code)
    }

    fn write(&self, stream: &mut TcpStream, body: bool) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {0} {0}\r\nContent-Length: {1}\r\n", self.status_code, self.data.len());
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "Connection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        stream.write_all(if body { &self.data } else { &[] })
    }
}

/// The file in `folder` that is asked for, or 404.
pub fn match_assets<P: AsRef<Path> + ?Sized>(request: &Request, folder: &P) -> Response {
    let read = || {
        let folder = folder.as_ref().canonicalize()?;
        let file = folder.join(request.url().trim_start_matches('/')).canonicalize()?;
        // Nothing outside the folder.
        if !file.starts_with(&folder) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        fs::read(&file).map(|data| Response::from_data(mime(&file), data))
    };
    read().unwrap_or_else(|_| Response::empty(404))
}

fn mime(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

/// A server that answers by a function.
#[derive(Debug)]
pub struct Server<F> {
    listener: TcpListener,
    address: SocketAddr,
    answer: Arc<F>,
}

impl<F: Fn(&Request) -> Response + Send + Sync + 'static> Server<F> {
    /// Takes the address; port 0 is any.
    ///
    /// # Errors
    ///
    /// If it is not to be had.
    pub fn new(address: impl ToSocketAddrs, answer: F) -> Result<Server<F>, Box<dyn Error + Send + Sync>> {
        let listener = TcpListener::bind(address)?;
        Ok(Server { address: listener.local_addr()?, listener, answer: Arc::new(answer) })
    }

    /// Where it is.
    pub fn server_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers, for ever.
    pub fn run(self) {
        for stream in self.listener.incoming() {
            let answer = Arc::clone(&self.answer);
            // A browser that has gone away is no error of ours.
            thread::spawn(move || stream.and_then(|stream| converse(&*answer, stream)));
        }
    }
}

/// Reads one request, answers it, and closes the connection.
fn converse(answer: &impl Fn(&Request) -> Response, mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(300)))?;
    stream.set_nodelay(true)?;
    match Request::read(&mut stream)? {
        Some(request) => answer(&request).write(&mut stream, request.method != "HEAD"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn serving() -> SocketAddr {
        let answer = |request: &Request| match request.url().as_str() {
            "/echo" => Response::from_data("text/plain", request.data().unwrap_or_default()),
            _ => match_assets(request, concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        };
        let server = Server::new("127.0.0.1:0", answer).expect("a port");
        let address = server.server_addr();
        thread::spawn(|| server.run());
        address
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(request.as_bytes()).expect("a request goes out");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    #[test]
    fn files_and_bodies_arrive_and_nothing_else_is_served() {
        let address = serving();
        let file = ask(address, "GET /lib.rs?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(file.starts_with("HTTP/1.1 200 200\r\n") && file.ends_with("}\n"), "{file}");
        assert!(file.contains(&format!("Content-Length: {}\r\n", include_str!("lib.rs").len())));
        for outside in ["/../Cargo.toml", "//etc/passwd", "/nothing", "/"] {
            let answer = ask(address, &format!("GET {outside} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert!(answer.starts_with("HTTP/1.1 404 404\r\n"), "{outside}: {answer}");
        }
        let echo = ask(address, "POST /echo HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\n\r\nthere");
        assert!(echo.ends_with("\r\n\r\nthere"), "{echo}");
    }

    /// A browser opens connections that it does not use yet, and keeps those that it has used; none may stand in another's way.
    #[test]
    fn idle_connections_keep_nobody_waiting() {
        let address = serving();
        let connect = || {
            let stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
            stream
        };
        let mut open = Vec::new();
        for _ in 0..20 {
            let mut burst: Vec<TcpStream> = (0..12).map(|_| connect()).collect();
            for asks in burst.iter_mut().skip(4) {
                asks.write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request goes out");
            }
            for asks in burst.iter().skip(4) {
                let mut line = String::new();
                BufReader::new(asks).read_line(&mut line).expect("an answer");
                assert_eq!(line.trim_end(), "HTTP/1.1 404 404");
            }
            open.push(burst);
        }
    }
}
