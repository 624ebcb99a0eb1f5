//! A file server for one folder, with the headers that make a page cross-origin isolated.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Result, fail};

/// Longest head of a request.
const LONGEST: usize = 64 << 10;

/// A server that runs until this value is dropped.
pub(crate) struct Serving {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    pub(crate) url: String,
}

/// Serves `folder` on this machine only; port 0 takes any.
///
/// Each connection has a thread of its own, and is closed after one answer. Browsers open connections before they need them: where connections share
/// threads, one that says nothing keeps another's request waiting for as long as it likes.
pub(crate) fn serve(folder: &Path, port: u16) -> Result<Serving> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener =
        listener.map_err(|error| fail(format!("cannot serve on port {port}: {error}; give another --port")))?;
    let address = listener.local_addr()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (folder, stopped) = (Arc::<Path>::from(folder), Arc::clone(&stop));
    thread::spawn(move || {
        for stream in listener.incoming() {
            // Relaxed: only the flag itself is read, and the connection that wakes us up comes after it.
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            let folder = Arc::clone(&folder);
            // A browser that has gone away is no error of ours.
            thread::spawn(move || stream.and_then(|stream| converse(&folder, stream)));
        }
    });
    Ok(Serving { stop, address, url: format!("http://localhost:{}/", address.port()) })
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Gets the listener's thread out of its wait. If it cannot be reached, it ends with the process.
        drop(TcpStream::connect(self.address));
    }
}

/// Reads one request, answers it, and closes the connection.
fn converse(folder: &Path, mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(300)))?;
    stream.set_nodelay(true)?;
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let (answer, body) = match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                let (method, url) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
                (answer(folder, method, url), method != "HEAD")
            }
            Ok(httparse::Status::Partial) if head.len() < LONGEST => match stream.read(&mut piece)? {
                0 => return Ok(()),
                length => {
                    head.extend_from_slice(&piece[..length]);
                    continue;
                }
            },
            _ => (Answer::refusal("400 Bad Request"), true),
        };
        return answer.write(&mut stream, body);
    }
}

struct Answer {
    status: &'static str,
    mime: &'static str,
    data: Vec<u8>,
}

impl Answer {
    fn refusal(status: &'static str) -> Answer {
        Answer { status, mime: "text/plain; charset=utf-8", data: format!("{status}\n").into_bytes() }
    }

    fn write(&self, stream: &mut TcpStream, body: bool) -> io::Result<()> {
        // The two `Cross-Origin` headers with `Opener` and `Embedder` give a page shared memory; workers need the second on their own script too.
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCross-Origin-Opener-Policy: same-origin\r\n\
             Cross-Origin-Embedder-Policy: require-corp\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.status,
            self.mime,
            self.data.len()
        );
        stream.write_all(head.as_bytes())?;
        if body {
            stream.write_all(&self.data)?;
        }
        Ok(())
    }
}

fn answer(folder: &Path, method: &str, url: &str) -> Answer {
    if !matches!(method, "GET" | "HEAD") {
        return Answer::refusal("405 Method Not Allowed");
    }
    let Some(file) = file_of(folder, url) else { return Answer::refusal("403 Forbidden") };
    match fs::read(&file) {
        Ok(data) => Answer { status: "200 OK", mime: mime(&file), data },
        Err(_) => Answer::refusal("404 Not Found"),
    }
}

/// The file of a URL, if that stays inside `folder`.
fn file_of(folder: &Path, url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?.trim_start_matches('/');
    let path = Path::new(path);
    if path.components().any(|part| !matches!(part, Component::Normal(_))) {
        return None;
    }
    let file = folder.join(path);
    Some(if file.is_dir() { file.join("index.html") } else { file })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn nothing_outside_the_folder_is_served() {
        let folder = Path::new("/srv");
        for url in ["/../etc/passwd", "/a/../../b", "//etc/passwd/.."] {
            assert_eq!(file_of(folder, url), None, "{url}");
        }
        assert_eq!(file_of(folder, "/a/b.js?x=1#y"), Some("/srv/a/b.js".into()));
        assert_eq!(
            file_of(folder, "/"),
            Some("/srv/".into()).filter(|file: &PathBuf| !file.is_dir()).or(Some("/srv/index.html".into()))
        );
    }

    #[test]
    fn wasm_has_the_type_that_streaming_needs() {
        assert_eq!(mime(Path::new("a/b_bg.wasm")), "application/wasm");
    }

    /// A browser opens connections that it does not use yet, and keeps those that it has used; none may stand in another's way.
    #[test]
    fn idle_connections_keep_nobody_waiting() {
        let serving = serve(Path::new("/nowhere"), 0).expect("a port");
        let port = serving.url.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let connect = || {
            let stream = TcpStream::connect(("127.0.0.1", port.expect("a port"))).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
            stream
        };
        // Twenty times as many workers that ask at once, and half as many connections that ask nothing; all stay open.
        let mut open = Vec::new();
        for _ in 0..20 {
            let mut burst: Vec<TcpStream> = (0..12).map(|_| connect()).collect();
            for asks in burst.iter_mut().skip(4) {
                asks.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request goes out");
            }
            for asks in burst.iter().skip(4) {
                let mut line = String::new();
                BufReader::new(asks).read_line(&mut line).expect("an answer");
                assert_eq!(line.trim_end(), "HTTP/1.1 404 Not Found");
            }
            open.push(burst);
        }
    }
}
