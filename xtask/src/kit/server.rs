//! A file server for one folder, with the headers that make a page cross-origin isolated.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tiny_http::{Header, Method, Response, Server};

use super::{Result, fail};

/// A server that runs until this value is dropped.
pub(crate) struct Serving {
    server: Arc<Server>,
    pub(crate) url: String,
}

/// Serves `folder` on this machine only; port 0 takes any.
pub(crate) fn serve(folder: &Path, port: u16) -> Result<Serving> {
    let server = Server::http(("127.0.0.1", port))
        .map_err(|error| fail(format!("cannot serve on port {port}: {error}; give another --port")))?;
    let server = Arc::new(server);
    let port = server.server_addr().to_ip().map_or(port, |address| address.port());
    for _ in 0..4 {
        let (server, folder) = (Arc::clone(&server), folder.to_owned());
        std::thread::spawn(move || {
            while let Ok(request) = server.recv() {
                let answer = answer(&folder, request.method(), request.url());
                // A browser that has gone away is no error of ours.
                let _ = request.respond(answer);
            }
        });
    }
    Ok(Serving { server, url: format!("http://localhost:{port}/") })
}

impl Drop for Serving {
    fn drop(&mut self) {
        (0..4).for_each(|_| self.server.unblock());
    }
}

fn answer(folder: &Path, method: &Method, url: &str) -> Response<std::io::Cursor<Vec<u8>>> {
    let refuse =
        |status: u16, text: &str| with_headers(Response::from_data(text).with_status_code(status), "text/plain");
    if !matches!(method, Method::Get | Method::Head) {
        return refuse(405, "only GET and HEAD\n");
    }
    let Some(file) = file_of(folder, url) else { return refuse(403, "not in this folder\n") };
    match fs::read(&file) {
        Ok(data) => with_headers(Response::from_data(data), mime(&file)),
        Err(_) => refuse(404, "no such file\n"),
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

fn with_headers<R: std::io::Read>(response: Response<R>, mime: &str) -> Response<R> {
    let headers = [
        ("Content-Type", mime),
        // The two that give a page shared memory; workers need the second on their own script too.
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Embedder-Policy", "require-corp"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ];
    headers
        .iter()
        .filter_map(|(name, value)| Header::from_bytes(*name, *value).ok())
        .fold(response, Response::with_header)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
